import { chmod, mkdtemp, readFile, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually, freePort, testDatabase } from '@nestbox/testing';
import { packLibs } from './support/packed-libs.js';
import { Reader } from './support/reader.js';
import { type Step, stepsOf } from './support/tutorial.js';

/** docs/guides/first-app.md, done as it is written, in an empty folder, with the packed libraries. */

const PAGE = join(import.meta.dirname, '../docs/guides/first-app.md');
const WALK_MS = 600_000;

describe('the walk from an empty folder to an application', () => {
  let folder: string;
  let port: number;
  let steps: Step[];
  let reader: Reader;

  beforeAll(async () => {
    // Not in the project, which would lend it its packages.
    folder = await realpath(await mkdtemp(join(tmpdir(), 'nestbox-walk-')));
    // The embedded PostgreSQL does not run as root, and has to enter it.
    await chmod(folder, 0o755);
    const page = await readFile(PAGE, 'utf8');
    steps = stepsOf(page);
    const named = new Set(page.match(/@nestbox\/[a-z-]+/g));
    port = await freePort();
    reader = new Reader({ folder, tarballs: await packLibs(folder, [...named]), port });
  }, WALK_MS);

  afterAll(async () => {
    await reader.interrupt();
    await rm(folder, { recursive: true, force: true });
  });

  it(
    'can be gone step by step, and shows what the page shows',
    async () => {
      for (const step of steps) await reader.do(step);

      expect(steps.filter((step) => step.do === 'write').length).toBeGreaterThan(10);
      expect(reader.seen.length).toBeGreaterThan(3);
      for (const { line, printed, shown } of reader.seen) {
        const lines = printed.split('\n').map((text) => text.trim());
        const missing = shown
          .trim()
          .split('\n')
          .filter((text) => !lines.includes(text));
        expect({ line, missing, printed }).toEqual({ line, missing: [], printed });
      }
    },
    WALK_MS,
  );

  it('ends with an application that has everything when it was killed and is started again', async () => {
    const library = `http://127.0.0.1:${port}`;
    const ask = async (path: string): Promise<unknown> => (await fetch(`${library}/${path}`)).json();
    const before = [await ask('books'), await ask('loans'), await ask('loans/1/history')];
    await reader.kill();
    await expect(fetch(library)).rejects.toThrow('fetch failed');

    await reader.start('The library is open');
    await eventually(async () =>
      expect([await ask('books'), await ask('loans'), await ask('loans/1/history')]).toEqual(before),
    );
    expect(before[2]).toHaveLength(3);
  }, 120_000);
});

describe('the commands in the README', () => {
  const root = join(import.meta.dirname, '..');

  it('npm start opens the shop', async () => {
    expect(await readFile(join(root, 'README.md'), 'utf8')).toContain('npm ci && npm start');
    const database = await testDatabase();
    const port = await freePort();
    const reader = new Reader({ folder: root, port, env: { DATABASE_URL: database.url } });
    try {
      await reader.start(`http://127.0.0.1:${port}`);
      await eventually(async () =>
        expect((await fetch(`http://127.0.0.1:${port}/products`)).status).toBe(200),
      );
    } finally {
      await reader.interrupt();
      await database.drop();
    }
  }, 120_000);

  it('npm ci && npm test is what CI runs', async () => {
    expect(await readFile(join(root, 'README.md'), 'utf8')).toContain('npm ci && npm test');
    const steps = (await readFile(join(root, '.ci/run'), 'utf8')).match(/^step npm (?:ci|test)/gm);
    expect(steps).toEqual(['step npm ci', 'step npm test']);
  });
});
