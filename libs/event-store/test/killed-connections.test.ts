import { setTimeout as sleep } from 'node:timers/promises';
import { Postgres } from '@nestbox/postgres';
import { spawnFixture, testDatabase, type TestDatabase } from '@nestbox/testing';

interface Done {
  type: 'done';
  appended: { ids: string[]; position?: number }[];
  errors: Record<string, number>;
  handled: number[];
}

let database: TestDatabase;
let admin: Postgres;

beforeEach(async () => {
  database = await testDatabase();
  admin = new Postgres({ url: database.url, options: { max: 2 } });
});

afterEach(async () => {
  await admin.close();
  await database.drop();
});

/** @returns how many there were */
async function killConnections(): Promise<number> {
  const rows = await admin.query(
    `select pg_terminate_backend(pid) from pg_stat_activity
      where datname = current_database() and application_name = 'victim'`,
  );
  return rows.length;
}

describe('a process whose connections are all killed, again and again', () => {
  it('neither ends nor loses nor doubles an event, and goes on consuming', async () => {
    await using victim = await spawnFixture(new URL('./fixtures/killed-connections.mjs', import.meta.url), {
      args: [database.url, '12'],
    });
    await victim.waitFor('started', 20_000);
    let killed = 0;
    for (let i = 0; i < 25; i++) {
      await sleep(40 + Math.random() * 120);
      killed += await killConnections();
    }
    expect(killed).toBeGreaterThan(25);
    victim.send('stop');
    const { appended, errors, handled } = await victim.waitFor<Done>('done', 30_000);
    expect(await victim.exited).toEqual({ code: 0, signal: null });
    // Those that failed said so in our words.
    expect(Object.keys(errors)).toEqual(['clear']);

    const log = await admin.query<{ id: string; position: string }>(
      `select message_id as id, global_position::text as position
         from event_store.emt_messages order by global_position`,
    );
    const ids = log.map(({ id }) => id);
    expect([...ids].sort()).toEqual(appended.flatMap((append) => append.ids).sort());
    for (const append of appended) {
      if (append.position === undefined) continue;
      const { id } = log.find(({ position }) => Number(position) === append.position)!;
      expect(id).toBe(append.ids.at(-1));
    }
    const streams = await admin.query(
      `select 1 as one from event_store.emt_messages
        group by stream_id having max(stream_position) <> count(*) or min(stream_position) <> 1`,
    );
    expect(streams).toEqual([]);

    const copied = await admin.query<{ id: string }>(
      'select message_id as id from event_store.copied c order by c.id',
    );
    expect(copied.map(({ id }) => id)).toEqual(ids);
    // A reactor gets some of them again, and skips none.
    const firsts = [...new Set(handled)];
    expect(firsts).toEqual(log.map(({ position }) => Number(position)));
  }, 60_000);
});
