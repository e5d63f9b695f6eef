import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, readdir, realpath, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { promisify } from 'node:util';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import { packLibs } from './support/packed-libs.js';

/** What is in each package, and whether tools that read packages find fault with it. */

const run = promisify(execFile);
const root = join(import.meta.dirname, '..');
const PACK_MS = 300_000;

/** Of a packed library, in bytes. A library that needs more says why here. */
const BUDGET = 200_000;

/**
 * The libraries are ES modules only, of which arethetypeswrong says that `require` fails. It did in older versions of
 * Node; in all that the libraries run on it loads ES modules, as test/packaging.test.ts shows.
 */
const ACCEPTED_PROBLEMS = ['CJSResolvesToESM'];

const libs = (await readdir(join(root, 'libs'))).map((lib) => ({ lib, name: `@nestbox/${lib}` }));

let folder: string;
let tarballs: Map<string, string>;

beforeAll(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), 'nestbox-contents-')));
  tarballs = await packLibs(folder);
}, PACK_MS);

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

describe.each(libs)('the package $name', ({ lib, name }) => {
  let files: string[];
  let unpacked: string;

  beforeAll(async () => {
    await run('tar', ['--extract', '--file', tarballs.get(name)!, '--directory', folder]);
    // Every tarball of npm has one folder of this name.
    await run('mv', [join(folder, 'package'), join(folder, lib)]);
    unpacked = join(folder, lib);
    const entries = await readdir(unpacked, { recursive: true, withFileTypes: true });
    files = entries
      .filter((entry) => entry.isFile())
      .map((entry) => relative(unpacked, join(entry.parentPath, entry.name)));
  });

  it('holds what is built, its SQL, its licence and its README, and nothing else', async () => {
    const built = /^dist\/.+\.(js|d\.ts)$/;
    const other = files.filter((file) => !built.test(file) && !/^sql\/.+\.sql$/.test(file)).toSorted();
    expect(other).toEqual(['LICENSE', 'README.md', 'package.json']);
    expect(files.filter((file) => /(^|\/)(test|tests|fixtures|src)\/|\.test\./.test(file))).toEqual([]);

    const sql = join(root, 'libs', lib, 'sql');
    const schema = existsSync(sql)
      ? (await readdir(sql, { recursive: true, withFileTypes: true }))
          .filter((entry) => entry.isFile())
          .map((entry) => relative(join(sql, '..'), join(entry.parentPath, entry.name)))
      : [];
    expect(files.filter((file) => file.startsWith('sql/')).toSorted()).toEqual(schema.toSorted());
  });

  it('has the types of each file that it has, and its entry points', async () => {
    const alone = files.filter(
      (file) => file.endsWith('.js') && !files.includes(file.replace(/\.js$/, '.d.ts')),
    );
    expect(alone).toEqual([]);

    const manifest = JSON.parse(await readFile(join(unpacked, 'package.json'), 'utf8')) as {
      main: string;
      types: string;
      bin?: Record<string, string>;
      scripts?: Record<string, string>;
      exports: Record<string, string | Record<string, string>>;
    };
    // Nothing runs on a user's machine because a package was installed.
    expect(manifest.scripts).toBeUndefined();
    const exported = Object.values(manifest.exports).flatMap((target) =>
      typeof target === 'string' ? [target] : Object.values(target),
    );
    const entries = [manifest.main, manifest.types, ...Object.values(manifest.bin ?? {}), ...exported];
    expect(entries.filter((entry) => !files.includes(entry.replace('./', '')))).toEqual([]);
  });

  it('names no folder of the machine that it was built on', async () => {
    const found: string[] = [];
    for (const file of files) {
      if ((await readFile(join(unpacked, file), 'utf8')).includes(root)) found.push(file);
    }
    expect(found).toEqual([]);
  });

  it('is no larger than it has to be', async () => {
    expect((await stat(tarballs.get(name)!)).size).toBeLessThan(BUDGET);
  });

  it('has nothing that publint objects to', async () => {
    const data = await readFile(tarballs.get(name)!);
    const packed = data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength);
    const { messages, pkg } = await publint({ pack: { tarball: packed } });
    expect(messages.map((message) => formatMessage(message, pkg, { color: false }))).toEqual([]);
  });

  it('has types that resolve from every kind of module, and are right about what is loaded', async () => {
    const attw = join(root, 'node_modules/@arethetypeswrong/cli/dist/index.js');
    const { stdout } = await run(process.execPath, [attw, tarballs.get(name)!, '--format', 'json'], {
      maxBuffer: 2 ** 25,
    }).catch((error: { stdout: string }) => error);
    const { analysis } = JSON.parse(stdout) as {
      analysis: { types: unknown; problems: { kind: string }[]; entrypoints: object };
    };
    const kinds = analysis.problems.map(({ kind }) => kind);
    expect(analysis.types).toEqual({ kind: 'included' });
    expect(kinds.filter((kind) => !ACCEPTED_PROBLEMS.includes(kind))).toEqual([]);
    expect(Object.keys(analysis.entrypoints)).toContain('.');
  });
});
