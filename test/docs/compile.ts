import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import ts from 'typescript';
import { root } from './page.js';
import type { Plan } from './programs.js';

/** What JavaScript cannot say: the types of parameters and the like. */
const IMPLICIT_ANY = (code: number): boolean => code >= 7000 && code < 7100;

const GLOBALS = `
declare namespace $doc {
  function step(line: number): Promise<void>;
  function loaded(file: string): void;
  function value<T>(line: number, expected: string, actual: T): T;
  function rejects(line: number, expected: string, fn: () => Promise<unknown>): Promise<void>;
  function throws(line: number, expected: string, fn: () => unknown): void;
}
`;

/**
 * Compiles the modules of pages in one go, against the sources of the libraries, to JavaScript beside them.
 *
 * @returns what the compiler says, as `docs/page.md:line: message`
 */
export async function compile(folder: string, plans: readonly Plan[]): Promise<string[]> {
  const pages = new Map<string, { plan: Plan; untyped: ReadonlySet<number> }>();
  for (const plan of plans) {
    // Commands are run there, also where there are no modules.
    await mkdir(join(folder, plan.page.slug), { recursive: true });
    for (const { file, text, untyped } of plan.modules) {
      const path = join(folder, plan.page.slug, file);
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, text);
      pages.set(path, { plan, untyped });
    }
  }
  await writeFile(join(folder, 'package.json'), '{ "type": "module" }');
  const globals = join(folder, 'globals.d.ts');
  await writeFile(globals, GLOBALS);

  const program = ts.createProgram([globals, ...pages.keys()], optionsOf());
  const said = [...pages].flatMap(([path, { plan, untyped }]) => {
    const source = program.getSourceFile(path)!;
    const found = [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)];
    return found.flatMap((one) => {
      const line = source.getLineAndCharacterOfPosition(one.start ?? 0).line + 1;
      if (untyped.has(line) && IMPLICIT_ANY(one.code)) return [];
      return `${plan.page.path}:${line}: ${ts.flattenDiagnosticMessageText(one.messageText, ' ')}`;
    });
  });
  const options = program
    .getOptionsDiagnostics()
    .map((one) => ts.flattenDiagnosticMessageText(one.messageText, ' '));
  for (const path of pages.keys()) program.emit(program.getSourceFile(path));
  return [...options, ...said];
}

function optionsOf(): ts.CompilerOptions {
  const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile) as {
    config: { compilerOptions: object };
  };
  const compilerOptions = {
    ...config.compilerOptions,
    noUnusedLocals: false,
    noUnusedParameters: false,
    noEmit: false,
    inlineSourceMap: true,
    inlineSources: true,
  };
  return ts.convertCompilerOptionsFromJson(compilerOptions, root).options;
}
