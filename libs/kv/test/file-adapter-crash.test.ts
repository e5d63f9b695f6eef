import { FileAdapter, KeyValueStore } from '@nestbox/kv';
import { spawnFixture, type Fixture } from '@nestbox/testing';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const fixture = new URL('./fixtures/file-writer.mjs', import.meta.url);

describe('the file adapter and other processes', () => {
  let folder: string;
  let filePath: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'nestbox-kv-'));
    filePath = join(folder, 'store.json');
  });
  afterEach(() => rm(folder, { recursive: true }));

  const start = (mode: string): Promise<Fixture> => spawnFixture(fixture, { args: [filePath, mode] });

  it('loses nothing of what was written, whenever the process is killed', async () => {
    let acknowledged = 0;
    for (let round = 0; round < 5; round++) {
      await using writer = await start('write');
      const { n: found } = await writer.waitFor<{ n: number }>('open');
      expect(found).toBeGreaterThanOrEqual(acknowledged);
      const enough = found + 1 + Math.floor(Math.random() * 12);
      await writer.waitFor<{ type: string; n: number }>(({ type, n }) => type === 'written' && n >= enough);
      // Somewhere within a write.
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 10));
      await writer.kill();
      const written = writer.messages.filter((message) => (message as { type: string }).type === 'written');
      acknowledged = (written.at(-1) as { n: number }).n;

      const store = new KeyValueStore({ adapter: new FileAdapter({ filePath }) });
      const n = (await store.get<number>('n'))!;
      expect([acknowledged, acknowledged + 1]).toContain(n);
      expect(await store.get('copy')).toBe(n);
      expect((await store.get<{ n: number }>(`item ${acknowledged % 50}`))?.n).toBeGreaterThanOrEqual(
        acknowledged,
      );
      await store.close();
    }
    expect(await readdir(folder)).toEqual(['store.json']);
  });

  it('refuses a file that a living process uses, also one that is frozen, and takes it over from a dead one', async () => {
    await using holder = await start('hold');
    await holder.waitFor('open');
    const refused = new RegExp(`Failed to set key "a": .*store.json is in use by process ${holder.pid}.`);
    const attempt = async (): Promise<unknown> => {
      const adapter = new FileAdapter({ filePath });
      try {
        return await adapter.set('a', 1);
      } finally {
        await adapter.close();
      }
    };
    await expect(attempt()).rejects.toThrow(refused);
    holder.freeze();
    await expect(attempt()).rejects.toThrow(refused);
    await holder.kill();
    expect(await attempt()).toEqual({ version: 1n });
  });

  it('lets one of many in that start at once after a crash', async () => {
    for (let round = 0; round < 2; round++) {
      const crashed = await start('hold');
      await crashed.waitFor('open');
      await crashed.kill();
      const starting = await Promise.all(Array.from({ length: 4 }, () => start('hold')));
      const answers = await Promise.all(
        starting.map((process) =>
          process.waitFor<{ type: string }>(({ type }) => type === 'open' || type === 'refused'),
        ),
      );
      expect(answers.map(({ type }) => type).sort((a, b) => a.localeCompare(b))).toEqual([
        'open',
        ...Array<string>(3).fill('refused'),
      ]);
      await Promise.all(starting.map((process) => process.kill()));
    }
  });

  it('does not keep a process alive', async () => {
    await using writer = await start('end');
    await writer.waitFor('open');
    expect(await writer.exited).toEqual({ code: 0, signal: null });
  });
});
