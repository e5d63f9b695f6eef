import { execFile } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, readdir, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { packLibs } from './support/packed-libs.js';

/**
 * The declarations of the packed libraries, checked themselves (`skipLibCheck: false`), by every way in which TypeScript
 * finds modules.
 */

const run = promisify(execFile);
const root = join(import.meta.dirname, '..');
const COMPILE_MS = 300_000;

const ways = [
  { way: 'nodenext', type: 'module', options: { module: 'nodenext' } },
  { way: 'nodenext', type: 'commonjs', options: { module: 'nodenext' } },
  { way: 'bundler', type: 'module', options: { module: 'preserve', moduleResolution: 'bundler' } },
  {
    way: 'node10',
    type: 'commonjs',
    options: { module: 'commonjs', moduleResolution: 'node10', ignoreDeprecations: '6.0' },
  },
] as const;

let folder: string;

beforeAll(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), 'nestbox-types-')));
  const modules = join(folder, 'node_modules');
  await mkdir(join(modules, '@nestbox'), { recursive: true });
  // What the libraries build on comes from the project; the libraries come from their packages.
  for (const name of await readdir(join(root, 'node_modules'))) {
    if (name === '@nestbox' || name.startsWith('.')) continue;
    await symlink(join(root, 'node_modules', name), join(modules, name));
  }
  for (const [name, tarball] of await packLibs(folder)) {
    await mkdir(join(modules, name));
    await run('tar', [
      '--extract',
      '--file',
      tarball,
      '--strip-components=1',
      '--directory',
      join(modules, name),
    ]);
  }
}, COMPILE_MS);

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

it.each(ways)(
  'resolve and are right as $way from a package of type $type',
  async ({ way, type, options }) => {
    const path = join(folder, `${way}-${type}`);
    await mkdir(path);
    await copyFile(join(root, 'test/fixtures/packaging/types/main.ts'), join(path, 'main.ts'));
    await writeFile(join(path, 'package.json'), JSON.stringify({ type }));
    await writeFile(
      join(path, 'tsconfig.json'),
      JSON.stringify({
        compilerOptions: {
          target: 'ES2023',
          lib: ['ES2023', 'ESNext.Disposable'],
          strict: true,
          exactOptionalPropertyTypes: true,
          noUncheckedIndexedAccess: true,
          skipLibCheck: false,
          noEmit: true,
          experimentalDecorators: true,
          emitDecoratorMetadata: true,
          types: ['node'],
          typeRoots: [join(root, 'node_modules/@types')],
          ...options,
        },
      }),
    );
    const tsc = join(root, 'node_modules/typescript/bin/tsc');
    const { stdout } = await run(process.execPath, [tsc, '-p', path, '--pretty', 'false'], {
      cwd: folder,
      maxBuffer: 2 ** 25,
    }).catch((error: { stdout: string }) => error);
    // Other packages' declarations are not ours to be right about.
    const ours = stdout
      .split('\n')
      .filter((line) => /^[\w-]+\/main\.ts|^node_modules\/@nestbox\//.test(line));
    expect(ours).toEqual([]);
  },
  COMPILE_MS,
);
