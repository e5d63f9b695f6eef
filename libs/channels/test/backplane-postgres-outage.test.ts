import { PgBackplane } from '@nestbox/channels';
import { Postgres } from '@nestbox/postgres';
import { eventually, startPostgres, type TestDatabase, type TestPostgres } from '@nestbox/testing';
import { jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { setTimeout as sleep } from 'node:timers/promises';
import { startProxy, type Proxy } from '../../redis/test/support/proxy.js';

let server: TestPostgres;
let database: TestDatabase;
let proxy: Proxy;
let direct: Postgres;
let behind: Postgres;
let names = 0;
const opened: PgBackplane[] = [];

beforeAll(async () => {
  for (const level of ['log', 'warn', 'error'] as const)
    jest.spyOn(Logger.prototype, level).mockReturnValue();
  server = await startPostgres();
  database = await server.createDatabase();
  proxy = await startProxy(server.port);
  direct = new Postgres(database.url);
  const url = new URL(database.url);
  url.port = String(proxy.port);
  behind = new Postgres(url.href);
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((backplane) => backplane.close()));
});
afterAll(async () => {
  await Promise.all([direct.close(), behind.close()]);
  await proxy.close();
  await server[Symbol.asyncDispose]();
});

async function pair() {
  const name = `outage_${++names}`;
  const [a, b] = [new PgBackplane(direct, { name }), new PgBackplane(behind, { name })];
  opened.push(a, b);
  const offsets: number[] = [];
  const ignore = { onMessage: () => undefined, onGap: () => undefined, onRecovered: () => undefined };
  const seen = { gaps: 0, recoveries: 0 };
  await a.open('a', ignore);
  await b.open('b', {
    onMessage: ({ position }) => offsets.push(position!.offset),
    onGap: () => seen.gaps++,
    onRecovered: () => seen.recoveries++,
  });
  await b.join('t');
  await eventually(() => b.state.status === 'up');
  return { a, b, offsets, seen };
}

/** Publishes until it is stopped, and resolves to the offsets of what was certainly sent. */
function publishing(backplane: PgBackplane): () => Promise<number[]> {
  let isOn = true;
  const sent: number[] = [];
  const run = (async () => {
    while (isOn) {
      const message = { topic: 't', payload: Buffer.from('x'), binary: false, except: [] };
      try {
        sent.push((await backplane.publish(message, { size: 100_000, ttlMs: 60_000 }))!.offset);
      } catch {
        // It may have been sent or not.
      }
      await sleep(5);
    }
    return sent;
  })();
  return () => {
    isOn = false;
    return run;
  };
}

/** All that was sent was received, in order and once; and nothing that is not in the history. */
async function expectAll(backplane: PgBackplane, sent: number[], received: number[]): Promise<void> {
  await eventually(() => expect(received).toEqual(expect.arrayContaining([sent.at(-1)])), {
    timeoutMs: 15_000,
  });
  const page = (await backplane.history('t', { limit: 100_000 }))!;
  const kept = page.messages.map(({ position }) => position!.offset);
  await eventually(() => expect(received).toEqual(kept));
  expect(sent.filter((offset) => !kept.includes(offset))).toEqual([]);
}

describe('PgBackplane with a bad link', () => {
  it('misses nothing when all connections are killed again and again', async () => {
    const { a, b, offsets, seen } = await pair();
    const stop = publishing(a);
    const killer = new Postgres(database.url);
    for (let round = 0; round < 5; round++) {
      await killer.query(
        `select pg_terminate_backend(pid) from pg_stat_activity
          where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'`,
      );
      await sleep(200);
    }
    await killer.close();
    const before = offsets.length;
    await eventually(() => offsets.length > before + 5);
    await expectAll(a, await stop(), offsets);
    expect(seen.gaps).toBe(0);
    await eventually(() => expect(b.state.status).toBe('up'));
  }, 30_000);

  it('says so while the link is cut for 5 s, and then reads what it has missed', async () => {
    const { a, b, offsets, seen } = await pair();
    const stop = publishing(a);
    await eventually(() => offsets.length > 5);
    proxy.cut();
    await eventually(() => expect(b.state.status).toBe('down'), { timeoutMs: 4000 });
    expect(b.state.reason).toEqual(expect.any(String));
    const before = offsets.length;
    await sleep(5000);
    expect(offsets).toHaveLength(before);
    proxy.heal();
    await eventually(() => expect(b.state.status).toBe('up'), { timeoutMs: 15_000 });
    await expectAll(a, await stop(), offsets);
    expect(seen.gaps).toBe(0);
    expect(seen.recoveries).toBeGreaterThan(0);
  }, 40_000);

  it('is degraded while the server hangs', async () => {
    const { a, b, offsets, seen } = await pair();
    const stop = publishing(a);
    await eventually(() => offsets.length > 5);
    await server.freeze();
    try {
      await eventually(() => expect(b.state.status).toBe('degraded'));
    } finally {
      await server.unfreeze();
    }
    await eventually(() => expect(b.state.status).toBe('up'));
    await expectAll(a, await stop(), offsets);
    expect(seen.gaps).toBe(0);
  }, 30_000);
});
