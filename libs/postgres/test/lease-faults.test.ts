import { setTimeout as sleep } from 'node:timers/promises';
import { jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import fc from 'fast-check';
import {
  LeaseExpiredError,
  LeaseUnavailableError,
  Migrations,
  Postgres,
  type Lease,
} from '@nestbox/postgres';
import {
  eventually,
  spawnFixture,
  startPostgres,
  testDatabase,
  type TestDatabase,
  type TestPostgres,
} from '@nestbox/testing';

describe('Leases under attack', () => {
  let database: TestDatabase;
  let one: Postgres;
  let two: Postgres;
  let name: string;
  let warn: jest.SpiedFunction<Logger['warn']>;

  beforeAll(async () => {
    database = await testDatabase();
    const postgres = new Postgres({ url: database.url, options: { max: 1 } });
    await Migrations.ofFoundation(postgres).run();
    await postgres.query('create table writes (id bigserial primary key, epoch bigint not null)');
    await postgres.close();
  });

  afterAll(async () => {
    await database.drop();
  });

  let count = 0;
  beforeEach(() => {
    name = `lease ${++count}`;
    one = new Postgres({ url: database.url, options: { max: 4 } });
    two = new Postgres({ url: database.url, options: { max: 4 } });
    jest.spyOn(Logger.prototype, 'log').mockImplementation(() => undefined);
    warn = jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
  });

  afterEach(async () => {
    jest.restoreAllMocks();
    await Promise.all([one.close(), two.close()]);
  });

  const assertLease = (on: Postgres, lease: Lease): Promise<unknown> =>
    on.query('select nestbox.assert_lease($1, $2::text::bigint)', [lease.name, String(lease.epoch)]);

  it('takes the lease from a holder that was frozen, who knows at once and whose write is refused', async () => {
    await using frozen = await spawnFixture(new URL('./fixtures/lease-holder.mjs', import.meta.url), {
      args: [database.url, name, '600'],
    });
    const { epoch } = await frozen.waitFor<{ type: string; epoch: string }>('acquired');
    // Longer than its time to live: the heartbeat works.
    await sleep(900);
    await expect(one.leases.acquire(name, { ttl: '10s' })).rejects.toBeInstanceOf(LeaseUnavailableError);
    frozen.freeze();
    const next = await one.leases.acquire(name, { ttl: '10s', wait: '10s' });
    expect(next.epoch).toBeGreaterThan(BigInt(epoch));
    frozen.unfreeze();
    expect(await frozen.waitFor('thawed')).toEqual({ type: 'thawed', held: false, write: 'NB001' });
    expect(await frozen.waitFor('aborted')).toEqual({ type: 'aborted', reason: 'LeaseExpiredError' });
    await next.assertHeld();
  });

  it('takes the lease from a holder that was killed, once its time is up', async () => {
    const killed = await spawnFixture(new URL('./fixtures/lease-holder.mjs', import.meta.url), {
      args: [database.url, name, '600'],
    });
    const { epoch } = await killed.waitFor<{ type: string; epoch: string }>('acquired');
    await killed.kill('SIGKILL');
    const start = performance.now();
    const next = await one.leases.acquire(name, { ttl: '10s', wait: '10s' });
    expect(performance.now() - start).toBeLessThan(1_600);
    expect(next.epoch).toBeGreaterThan(BigInt(epoch));
  });

  it('keeps the lease while its connections are killed again and again', async () => {
    const lease = await one.leases.acquire(name, { ttl: 1_000, autoRenew: true });
    for (let i = 0; i < 15; i++) {
      await two.query(
        `select pg_terminate_backend(pid) from pg_stat_activity
          where datname = current_database() and pid <> pg_backend_pid()`,
      );
      await sleep(100);
      const { held } = lease;
      // What the holder believes is never more than what the database grants.
      if (held) await assertLease(two, lease);
    }
    expect(lease.held).toBe(true);
  });

  describe('with a server of its own', () => {
    let server: TestPostgres;
    let postgres: Postgres;

    beforeAll(async () => {
      server = await startPostgres();
      postgres = new Postgres({
        url: server.url,
        options: { max: 2, connect_timeout: 1 },
      });
      await Migrations.ofFoundation(postgres).run();
    });

    afterAll(async () => {
      await postgres.close();
      await server[Symbol.asyncDispose]();
    });

    it('loses the lease in time when the server is gone, and goes on when it is back', async () => {
      const lease = await postgres.leases.acquire(name, { ttl: 600, autoRenew: true });
      await server.kill();
      const start = performance.now();
      await eventually(() => expect(lease.signal.aborted).toBe(true));
      expect(performance.now() - start).toBeLessThan(650);
      expect(warn.mock.calls.filter(([text]) => String(text).includes('could not be renewed'))).toHaveLength(
        1,
      );
      const waiting = postgres.leases.acquire(name, { ttl: '10s', wait: '20s' });
      await server.start();
      expect((await waiting).epoch).toBeGreaterThan(lease.epoch);
    });

    it('gives back a lease whose renewal was answered too late', async () => {
      // The row would be held for an hour, while its holder has given up.
      const lease = await postgres.leases.acquire(name, { ttl: 1_500 });
      const answered = postgres.query('select 1');
      await server.freeze();
      const renewal = lease.renew().catch((error: unknown) => error);
      await eventually(() => expect(lease.held).toBe(false));
      await server.unfreeze();
      await answered;
      expect(await renewal).toBeInstanceOf(LeaseExpiredError);
      const start = performance.now();
      await postgres.leases.acquire(name, { ttl: '10s', wait: '10s' });
      expect(performance.now() - start).toBeLessThan(1_000);
    });
  });

  it('excludes others across processes that release it, let it run out, and are frozen', async () => {
    await one.query('truncate writes');
    const contenders = await Promise.all(
      [1, 2, 3].map(() =>
        spawnFixture(new URL('./fixtures/lease-contender.mjs', import.meta.url), {
          args: [database.url, name, '3'],
        }),
      ),
    );
    await Promise.all(contenders.map((contender) => contender.waitFor('ready')));
    for (let i = 0; i < 6; i++) {
      await sleep(120);
      const contender = contenders[i % 3]!;
      contender.freeze();
      await sleep(200);
      contender.unfreeze();
    }
    for (const contender of contenders) contender.send('stop');
    type Interval = { epoch: string; from: number; to: number };
    const reports = await Promise.all(
      contenders.map((contender) => contender.waitFor<{ type: string; intervals: Interval[] }>('intervals')),
    );
    const intervals = reports.flatMap((report) => report.intervals).sort((a, b) => a.from - b.from);
    expect(intervals.length).toBeGreaterThan(10);
    for (let i = 1; i < intervals.length; i++) {
      expect(intervals[i]!.from).toBeGreaterThan(intervals[i - 1]!.to);
      expect(BigInt(intervals[i]!.epoch)).toBeGreaterThan(BigInt(intervals[i - 1]!.epoch));
    }
    const writes = await one.query<{ epoch: string }>('select epoch::text as epoch from writes order by id');
    expect(writes.length).toBeGreaterThan(5);
    for (let i = 1; i < writes.length; i++) {
      expect(BigInt(writes[i]!.epoch)).toBeGreaterThanOrEqual(BigInt(writes[i - 1]!.epoch));
    }
    await Promise.all(contenders.map((contender) => contender.exited));
  });

  it('excludes others, whatever its claimants do and in whatever order', async () => {
    const action = fc.record({
      who: fc.nat(3),
      what: fc.constantFrom('acquire', 'acquire', 'acquire briefly', 'renew', 'release', 'wait', 'guard'),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(action, { minLength: 5, maxLength: 30 }), async (actions) => {
        name = `lease ${++count}`;
        const leases: (Lease | undefined)[] = [];
        let highest = 0n;
        for (const { who, what } of actions) {
          const lease = leases[who];
          switch (what) {
            case 'acquire':
            case 'acquire briefly': {
              const claim = (who % 2 ? one : two).leases.acquire(name, {
                ttl: what === 'acquire' ? 5_000 : 15,
              });
              leases[who] = await claim.catch((error: unknown) => {
                expect(error).toBeInstanceOf(LeaseUnavailableError);
                return lease;
              });
              if (leases[who] === lease) break;
              expect(leases[who]!.epoch).toBeGreaterThan(highest);
              highest = leases[who]!.epoch;
              break;
            }
            case 'renew':
              await lease?.renew().catch((error: unknown) => expect(error).toBeInstanceOf(LeaseExpiredError));
              break;
            case 'release':
              await lease?.release();
              break;
            case 'wait':
              await sleep(8);
              break;
            case 'guard':
              if (lease === undefined) break;
              await assertLease(one, lease).then(
                () => expect(lease.epoch).toBe(highest),
                (error: unknown) => {
                  expect(error).toMatchObject({ code: 'NB001' });
                  expect(lease.held).toBe(false);
                },
              );
              break;
          }
          expect(leases.filter((each) => each?.held === true).length).toBeLessThanOrEqual(1);
        }
        for (const each of leases) await each?.release();
      }),
      { numRuns: 40 },
    );
  });
});
