import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { spawnFixture, testDatabase } from '@nestbox/testing';

const root = join(import.meta.dirname, '..', '..', '..');

it('The example of the page on the state of runs does what it says', async () => {
  const page = await readFile(join(root, 'docs', 'workflow-state.md'), 'utf8');
  const example = /```ts\n(?<code>.*?)```/su.exec(page)?.groups?.['code'];
  if (example === undefined) throw new Error('The page has no example.');
  // Inside the project, so that it finds its packages.
  await mkdir(join(root, '.nestbox'), { recursive: true });
  const folder = await mkdtemp(join(root, '.nestbox', 'state-docs-'));
  const database = await testDatabase();
  try {
    const file = join(folder, 'example.mjs');
    await writeFile(file, example);
    const run = await spawnFixture(file, { env: { DATABASE_URL: database.url } });
    await run.waitFor('completed true', 20_000);
    expect(await run.exited).toEqual({ code: 0, signal: null });
    expect(run.stderr).toBe('');
  } finally {
    await rm(folder, { recursive: true });
    await database.drop();
  }
}, 40_000);
