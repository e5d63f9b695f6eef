import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { promisify } from 'node:util';
import {
  eventually,
  type Fixture,
  freePort,
  spawnFixture,
  testDatabase,
  type TestDatabase,
} from '@nestbox/testing';

const run = promisify(execFile);
const root = join(import.meta.dirname, '..');
const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');

/** The program in the README, as it stands there. */
async function example(): Promise<string> {
  const readme = await readFile(join(root, 'README.md'), 'utf8');
  const [, code] = /^```ts\n(.*?)^```$/ms.exec(readme) ?? [];
  if (code === undefined) throw new Error('README.md has no block of TypeScript.');
  return code;
}

describe('The example in the README', () => {
  let folder: string;
  let database: TestDatabase;
  let app: Fixture | undefined;

  beforeAll(async () => {
    database = await testDatabase();
    // Inside the project, so that it finds its packages as a user's program does.
    await mkdir(join(root, '.nestbox'), { recursive: true });
    folder = await mkdtemp(join(root, '.nestbox', 'readme-'));
  });

  afterAll(async () => {
    await app?.kill();
    await database?.drop();
    await rm(folder, { recursive: true, force: true });
  });

  it('has about twenty lines', async () => {
    const lines = (await example()).split('\n').filter((line) => line.trim() !== '');
    expect(lines.length).toBeLessThanOrEqual(24);
  });

  it('is compiled without a complaint, runs, and counts every guest', async () => {
    await writeFile(join(folder, 'package.json'), '{ "type": "module" }');
    await writeFile(join(folder, 'example.ts'), await example());
    const compilerOptions = { paths: {}, types: ['node'], noEmit: false, rootDir: '.', outDir: '.' };
    const config = {
      extends: join(root, 'tsconfig.json'),
      compilerOptions,
      include: ['example.ts'],
      exclude: [],
    };
    await writeFile(join(folder, 'tsconfig.json'), JSON.stringify(config));
    await run(process.execPath, [tsc, '-p', folder]);

    const port = await freePort();
    app = await spawnFixture(join(folder, 'example.js'), {
      env: { DATABASE_URL: database.url, PORT: String(port) },
    });
    const guests = `http://127.0.0.1:${port}/guests`;
    await eventually(async () => expect((await fetch(guests)).status).toBe(200), { timeoutMs: 20_000 });

    const greetings = await Promise.all(
      Array.from({ length: 50 }, async () => (await fetch(`${guests}/Ada`, { method: 'POST' })).text()),
    );
    expect(greetings).toContain('Welcome, Ada! This is visit 50.');
    expect(new Set(greetings).size).toBe(50);
    expect(await (await fetch(guests)).json()).toEqual({ Ada: 50 });
  });
});
