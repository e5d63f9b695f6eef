import { withChecks, type Expected } from './expectations.js';
import { declaredNames, importLine, parse, takeImports, type Import } from './names.js';
import type { Block, Page, Section } from './page.js';

/** A module made of blocks. Its lines are those of the page, so that what is said of a line is said of the page. */
export interface Module {
  /** Relative to the page's folder, such as `line-12.ts`. */
  file: string;
  text: string;
  /** Lines of JavaScript, which declares no types. */
  untyped: ReadonlySet<number>;
}

export type Step =
  | { do: 'import'; line: number; file: string }
  | { do: 'sh' | 'sql'; line: number; text: string }
  /** Shows what was printed before it in this section. */
  | { do: 'show'; line: number; text: string };

/** What is run together: a program, with commands and statements in between, or these alone. */
export interface Run {
  heading: string;
  line: number;
  /** The module of its program, without `.ts`. */
  program: string | undefined;
  /** In the order of the page. Those of a section with a program are called by it. */
  steps: Step[];
  /** The lines whose values are checked. */
  values: number[];
  prints: Expected[];
}

export interface Plan {
  page: Page;
  modules: Module[];
  runs: Run[];
  /** Modules for Jest. */
  tests: string[];
  /** Modules that something else has to import. */
  files: string[];
}

/** The module with the setup of a page. */
export const SETUP = 'setup.ts';

/** Makes modules and the steps to run of a page. */
export function planOf(page: Page): Plan {
  const plan: Plan = { page, modules: [], runs: [], tests: [], files: [] };
  const all = page.sections.flatMap(({ blocks }) => blocks);
  const setup = setupOf(all.filter(({ flags }) => flags.has('setup')));
  if (setup) plan.modules.push(setup.module);
  for (const block of all.filter(isCode)) {
    if (block.file !== undefined) addFile(plan, block);
    else if (block.flags.has('test')) addTest(plan, block, setup?.imports ?? []);
  }
  for (const section of page.sections) plan.runs.push(...runOf(plan, section, setup?.imports ?? []));
  return plan;
}

export function isCode({ language }: Block): boolean {
  return language === 'ts' || language === 'js';
}

interface Body {
  line: number;
  text: string;
}

/** The text of blocks at their lines of the page; the first line is for imports. */
function atTheirLines(blocks: readonly Body[], first: string): string {
  const lines: string[] = [first];
  for (const { line, text } of blocks)
    for (const [i, one] of text.split('\n').entries()) lines[line + i] = one;
  return Array.from(lines, (line) => line ?? '').join('\n');
}

function untypedLines(blocks: readonly Block[]): Set<number> {
  const lines = blocks
    .filter(({ language }) => language === 'js')
    .flatMap(({ line, text }) => text.split('\n').map((_, i) => line + 1 + i));
  return new Set(lines);
}

/** All setup of a page is one module, run once. Its names are at hand in the programs. */
function setupOf(blocks: readonly Block[]): { module: Module; imports: Import[] } | undefined {
  if (blocks.length === 0) return undefined;
  const text = atTheirLines(blocks, '');
  const own = declaredNames(parse(text));
  const { imports } = takeImports(text);
  const exported = own.map(({ name, isType }) => `${isType ? 'type ' : ''}${name}`).join(', ');
  return {
    module: { file: SETUP, text: `${text}\nexport { ${exported} };\n`, untyped: untypedLines(blocks) },
    imports: [
      ...own.map(({ name, isType }) => ({ from: './setup.js', imported: name, name, isType })),
      ...imports.filter(({ name }) => name !== ''),
    ],
  };
}

function addFile(plan: Plan, block: Block): void {
  const file = block.file!;
  if (plan.modules.some((module) => module.file === file))
    throw new Error(`${plan.page.path}:${block.line}: ${file} is on this page already.`);
  const isTest = file.endsWith('.test.ts');
  const loaded =
    isTest || block.notRun !== undefined
      ? ''
      : `typeof $doc !== 'undefined' && $doc.loaded(${JSON.stringify(file)});`;
  if (isTest) plan.tests.push(file);
  else if (block.notRun === undefined) plan.files.push(file);
  plan.modules.push({
    file,
    text: atTheirLines([block], loaded),
    untyped: untypedLines([block]),
  });
}

function addTest(plan: Plan, block: Block, atHand: readonly Import[]): void {
  const file = `line-${block.line}.test.ts`;
  plan.tests.push(file);
  plan.modules.push({ file, text: moduleText([block], atHand), untyped: untypedLines([block]) });
}

/** A module that has the names of the setup, unless it declares them itself. */
function moduleText(bodies: readonly Body[], atHand: readonly Import[]): string {
  const taken = bodies.map(({ line, text }) => ({ line, ...takeImports(text) }));
  const rest = taken.map((body) => ({ line: body.line, text: body.rest }));
  const own = declaredNames(parse(rest.map(({ text }) => text).join('\n'))).map(({ name }) => name);
  const header = importLine([...taken.flatMap(({ imports }) => imports), ...atHand], new Set(own));
  return `${atTheirLines(rest, header)}\nexport {};\n`;
}

function runOf(plan: Plan, section: Section, atHand: readonly Import[]): Run[] {
  const blocks = section.blocks.filter(({ flags }) => !flags.has('setup') && !flags.has('test'));
  const code = blocks.filter((block) => isCode(block) && block.file === undefined);
  const steps = blocks.flatMap((block) => stepOf(block) ?? []);
  const values: number[] = [];
  const prints: Expected[] = [];
  const bodies = code.map(({ line, text, notRun }): Body => {
    if (notRun !== undefined) return { line, text: inFunction(line, text) };
    const checked = withChecks(text, line);
    values.push(...checked.values);
    prints.push(...checked.prints);
    return { line, text: checked.text };
  });
  // A step stands in the line of its fence.
  const marks = steps.map(({ line }) => ({ line: line - 1, text: `await $doc.step(${line});` }));
  const file = `line-${section.blocks[0]!.line}`;
  if (code.length > 0)
    plan.modules.push({
      file: `${file}.ts`,
      text: moduleText(
        [...bodies, ...marks].toSorted((a, b) => a.line - b.line),
        atHand,
      ),
      untyped: untypedLines(code),
    });
  const isRun = code.some(({ notRun }) => notRun === undefined);
  if (!isRun && steps.length === 0) return [];
  const { heading, line } = section;
  return [{ heading, line, program: isRun ? file : undefined, steps, values, prints }];
}

/** What is not run is compiled as the body of a function that nobody calls. */
function inFunction(line: number, text: string): string {
  const { imports, rest } = takeImports(text);
  return `${importLine(imports, new Set())} export async function notRun${line}() { ${rest}\n}`;
}

function stepOf(block: Block): Step | undefined {
  const { language, line, text, file, flags, notRun } = block;
  if (notRun !== undefined) return undefined;
  if (isCode(block)) return flags.has('run') ? { do: 'import', line, file: file! } : undefined;
  if (language === 'sh' || language === 'bash') return { do: 'sh', line, text };
  if (language === 'sql') return { do: 'sql', line, text };
  if (language === 'text' && !flags.has('figure')) return { do: 'show', line, text };
  return undefined;
}
