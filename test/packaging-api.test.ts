import { execFile } from 'node:child_process';
import { mkdtemp, readFile, readdir, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

/**
 * The API reference. It is large, and all of it stands in the doc comments, so that it is made when it is wanted
 * (`npm run docs:api`) and not kept; what is tested is that it can be made.
 */

const run = promisify(execFile);
const root = join(import.meta.dirname, '..');
const BUILD_MS = 300_000;

let folder: string;
let outcome: { code: number; said: string };

beforeAll(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), 'nestbox-api-')));
  outcome = await reference(join(folder, 'one'));
}, BUILD_MS);

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

async function reference(out: string): Promise<{ code: number; said: string }> {
  const typedoc = join(root, 'node_modules/typedoc/bin/typedoc');
  const options = ['--out', out, '--logLevel', 'Warn', '--pretty', 'false'];
  return run(process.execPath, [typedoc, ...options], {
    cwd: root,
    env: { ...process.env, NO_COLOR: '1' },
  }).then(
    ({ stdout, stderr }) => ({ code: 0, said: stdout + stderr }),
    (error: { code: number; stdout: string; stderr: string }) => ({
      code: error.code,
      said: error.stdout + error.stderr,
    }),
  );
}

/** The pages of a reference, by their paths. */
async function pagesOf(out: string): Promise<Map<string, string>> {
  const entries = await readdir(out, { recursive: true, withFileTypes: true });
  const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const pages = new Map<string, string>();
  for (const path of paths.toSorted()) pages.set(path.slice(out.length + 1), await readFile(path, 'utf8'));
  return pages;
}

describe('the API reference', () => {
  it('is made without a warning: every export has a comment, and every link leads somewhere', () => {
    expect(outcome).toEqual({ code: 0, said: '' });
  });

  it('has a page for all that can be imported from', async () => {
    const pages = await pagesOf(join(folder, 'one'));
    for (const lib of await readdir(join(root, 'libs'))) {
      const { exports } = JSON.parse(await readFile(join(root, 'libs', lib, 'package.json'), 'utf8')) as {
        exports: Record<string, unknown>;
      };
      const entries = Object.keys(exports).filter((entry) => entry !== './package.json');
      for (const entry of entries)
        expect([...pages.keys()]).toContain(join('@nestbox', lib, entry, 'README.md'));
    }
  });

  it('names no folder of the machine that it was made on', async () => {
    const pages = await pagesOf(join(folder, 'one'));
    expect([...pages].filter(([, page]) => page.includes(root)).map(([path]) => path)).toEqual([]);
  });
});
