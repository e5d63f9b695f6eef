import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { jest } from '@jest/globals';
import { ClosedError, InvalidArgumentError } from '@nestbox/core';
import { Logger } from '@nestjs/common';
import {
  LeaseExpiredError,
  LeaseUnavailableError,
  Migrations,
  OrderedLog,
  Postgres,
  type Lease,
} from '@nestbox/postgres';
import { eventually, testDatabase, type TestDatabase } from '@nestbox/testing';

describe('Leases', () => {
  let database: TestDatabase;
  let one: Postgres;
  let two: Postgres;
  let name: string;

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
    jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
  });

  afterEach(async () => {
    jest.restoreAllMocks();
    await Promise.all([one.close(), two.close()]);
  });

  const assertLease = (on: Postgres, lease: Lease): Promise<unknown> =>
    on.query('select nestbox.assert_lease($1, $2::text::bigint)', [lease.name, String(lease.epoch)]);

  async function row(): Promise<{ owner: string | null; epoch: string; left: number }> {
    const [found] = await one.query<{ owner: string | null; epoch: string; left: number }>(
      `select owner, epoch::text as epoch, (extract(epoch from expires_at - clock_timestamp()) * 1000)::float8 as left
         from nestbox.leases where name = $1`,
      [name],
    );
    return found!;
  }

  it('is held by one at a time, and says by whom and for how long', async () => {
    const lease = await one.leases.acquire(name, { ttl: '10s' });
    expect(lease).toMatchObject({ name, held: true, ttlMs: 10_000 });
    expect(lease.signal.aborted).toBe(false);
    const error: unknown = await two.leases.acquire(name, { ttl: '10s' }).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(LeaseUnavailableError);
    expect(error).toMatchObject({ code: 'LEASE_UNAVAILABLE', lease: name, owner: lease.owner });
    expect((error as LeaseUnavailableError).remainingMs).toBeGreaterThan(9_000);
    // It is a lease for one task, not for a process.
    await expect(one.leases.acquire(name, { ttl: '10s' })).rejects.toBeInstanceOf(LeaseUnavailableError);
  });

  it('gives every holder a higher epoch, whether the one before released it or let it run out', async () => {
    const first = await one.leases.acquire(name, { ttl: '10s' });
    expect(await first.release()).toBe(true);
    expect(await first.release()).toBe(false);
    expect(first.held).toBe(false);
    const second = await two.leases.acquire(name, { ttl: '1s' });
    const third = await one.leases.acquire(name, { ttl: '10s', wait: '5s' });
    expect(second.epoch).toBeGreaterThan(first.epoch);
    expect(third.epoch).toBeGreaterThan(second.epoch);
    expect(await second.release()).toBe(false);
    expect(third.held).toBe(true);
    await assertLease(two, third);
  });

  it('goes to one of many who claim it at the same time', async () => {
    for (let round = 0; round < 10; round++) {
      const claims = Array.from({ length: 8 }, (_, i) =>
        (i % 2 ? one : two).leases.acquire(name, { ttl: '10s' }),
      );
      const outcomes = await Promise.allSettled(claims);
      const won = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
      expect(won).toHaveLength(1);
      for (const outcome of outcomes) {
        if (outcome.status === 'rejected') expect(outcome.reason).toBeInstanceOf(LeaseUnavailableError);
      }
      // Every other round it has never been there before.
      if (round % 2) name = `${name}+`;
      else await won[0]!.release();
    }
  });

  it('passes on at once when it is released', async () => {
    const lease = await one.leases.acquire(name, { ttl: '1h' });
    const waiting = two.leases.acquire(name, { ttl: '1h', wait: '20s' });
    await eventually(() => expect(two.listenerState).toBe('connected'));
    await sleep(20);
    const start = performance.now();
    await lease.release();
    expect((await waiting).epoch).toBeGreaterThan(lease.epoch);
    expect(performance.now() - start).toBeLessThan(700);
  });

  it('passes on at once when its holder is closed', async () => {
    await one.leases.acquire(name, { ttl: '1h', autoRenew: true });
    const waiting = two.leases.acquire(name, { ttl: '1h', wait: '20s' });
    await eventually(() => expect(two.listenerState).toBe('connected'));
    await sleep(20);
    const start = performance.now();
    await one.close();
    await waiting;
    expect(performance.now() - start).toBeLessThan(700);
  });

  it('stops waiting when the time is up, the signal aborts, or it is closed', async () => {
    await one.leases.acquire(name, { ttl: '1h' });
    const start = performance.now();
    await expect(two.leases.acquire(name, { ttl: 100, wait: 150 })).rejects.toBeInstanceOf(
      LeaseUnavailableError,
    );
    expect(performance.now() - start).toBeGreaterThanOrEqual(149);

    const controller = new AbortController();
    const aborted = two.leases.acquire(name, { ttl: 100, wait: '1h', signal: controller.signal });
    setTimeout(() => controller.abort(new Error('no longer needed')), 20);
    await expect(aborted).rejects.toThrow('no longer needed');
    await expect(two.leases.acquire(name, { ttl: 100, signal: controller.signal })).rejects.toThrow(
      'no longer needed',
    );

    const closed = two.leases.acquire(name, { ttl: 100, wait: '1h' });
    setTimeout(() => void two.leases.close(), 20);
    await expect(closed).rejects.toBeInstanceOf(ClosedError);
    await expect(two.leases.acquire(name, { ttl: 100 })).rejects.toBeInstanceOf(ClosedError);
  });

  it('lets go of a lease that is granted after the caller has gone', async () => {
    for (let i = 0; i < 5; i++) {
      const controller = new AbortController();
      const claim = one.leases.acquire(name, { ttl: '1h', signal: controller.signal });
      setImmediate(() => controller.abort(new Error('gone')));
      await claim.then(
        (lease) => lease.release(),
        (error: unknown) => expect(String(error)).toContain('gone'),
      );
      await (await two.leases.acquire(name, { ttl: '1h', wait: '5s' })).release();
    }
  });

  it('runs out in the eyes of its holder before the database lets others have it', async () => {
    const lease = await one.leases.acquire(name, { ttl: 150 });
    const reason = new Promise<unknown>((resolve) =>
      lease.signal.addEventListener('abort', () => resolve(lease.signal.reason)),
    );
    while (lease.held) await new Promise((resolve) => setImmediate(resolve));
    expect((await row()).left).toBeGreaterThan(0);
    expect(await reason).toBeInstanceOf(LeaseExpiredError);
    expect(lease.signal.aborted).toBe(true);
    await expect(lease.renew()).rejects.toBeInstanceOf(LeaseExpiredError);
    await expect(lease.assertHeld()).rejects.toBeInstanceOf(LeaseExpiredError);
    expect(await lease.release()).toBe(false);
  });

  it('is renewed by hand', async () => {
    const lease = await one.leases.acquire(name, { ttl: 300 });
    for (let i = 0; i < 5; i++) {
      await sleep(100);
      await lease.renew();
    }
    expect(lease.held).toBe(true);
    expect((await row()).left).toBeGreaterThan(200);
  });

  it('is renewed by a heartbeat for as long as it is not released', async () => {
    const lease = await one.leases.acquire(name, { ttl: 600, autoRenew: true });
    await sleep(1_300);
    expect(lease.held).toBe(true);
    expect((await row()).epoch).toBe(String(lease.epoch));
    await lease.release();
    await sleep(150);
    expect(await row()).toMatchObject({ owner: null });
  });

  it('renews all leases of a process with one statement at a time', async () => {
    const leases = await Promise.all(
      Array.from({ length: 50 }, (_, i) => one.leases.acquire(`${name} ${i}`, { ttl: 600, autoRenew: true })),
    );
    const query = jest.spyOn(one, 'query');
    await sleep(1_300);
    const renewals = query.mock.calls.filter(([text]) => text.includes('renew_leases'));
    expect(leases.every((lease) => lease.held)).toBe(true);
    expect(renewals.length).toBeGreaterThanOrEqual(4);
    // Two or three rounds per time to live; acquired at different times, they have come together.
    expect(renewals.length).toBeLessThanOrEqual(12);
  });

  it('takes no part in the ambient transaction', async () => {
    let lease: Lease | undefined;
    const rolledBack = one.transaction(async () => {
      lease = await one.leases.acquire(name, { ttl: '10s' });
      await lease.renew();
      throw new Error('rolled back');
    });
    await expect(rolledBack).rejects.toThrow('rolled back');
    await expect(two.leases.acquire(name, { ttl: '10s' })).rejects.toBeInstanceOf(LeaseUnavailableError);
    await lease!.assertHeld();
  });

  it('is not given away while a transaction that has checked it is open, nor is anybody kept waiting for that', async () => {
    const lease = await one.leases.acquire(name, { ttl: 200 });
    await one.transaction(async (transaction) => {
      await lease.assertHeld();
      // Renewing is possible meanwhile, on another connection.
      await lease.renew();
      await eventually(() => expect(lease.held).toBe(false));
      await sleep(50);
      const start = performance.now();
      await expect(two.leases.acquire(name, { ttl: '10s' })).rejects.toBeInstanceOf(LeaseUnavailableError);
      expect(performance.now() - start).toBeLessThan(1_000);
      await transaction.query('insert into writes (epoch) values ($1::text::bigint)', [String(lease.epoch)]);
    });
    const next = await two.leases.acquire(name, { ttl: '10s' });
    expect(next.epoch).toBeGreaterThan(lease.epoch);
    await expect(assertLease(one, lease)).rejects.toMatchObject({ code: 'NB001' });
  });

  it('releases everything when it is closed', async () => {
    const leases = await Promise.all([
      one.leases.acquire(name, { ttl: '1h', autoRenew: true }),
      one.leases.acquire(`${name} b`, { ttl: '1h' }),
    ]);
    await one.close();
    for (const lease of leases) {
      expect(lease.held).toBe(false);
      expect(lease.signal.reason).toBeInstanceOf(ClosedError);
      await two.leases.acquire(lease.name, { ttl: '1h' });
    }
  });

  it('is released by `await using`', async () => {
    {
      await using lease = await one.leases.acquire(name, { ttl: '1h' });
      expect(lease.held).toBe(true);
    }
    await two.leases.acquire(name, { ttl: '1h' });
  });

  it('sweeps rows of old leases, and goes on with higher epochs', async () => {
    const lease = await one.leases.acquire(name, { ttl: '1h' });
    await lease.release();
    const held = await one.leases.acquire(`${name} held`, { ttl: '1h' });
    const sweep = (): Promise<unknown> => one.query(`select nestbox.sweep_leases('0 s', 1000) as swept`);
    await sweep();
    expect(await row()).toBeUndefined();
    await assertLease(two, held);
    await expect(assertLease(one, lease)).rejects.toMatchObject({ code: 'NB001' });
    const next = await one.leases.acquire(name, { ttl: '1h' });
    expect(next.epoch).toBeGreaterThan(held.epoch);
  });

  it('refuses names and durations that make no sense', async () => {
    await expect(one.leases.acquire('', { ttl: 1 })).rejects.toBeInstanceOf(InvalidArgumentError);
    await expect(one.leases.acquire('a\0', { ttl: 1 })).rejects.toBeInstanceOf(InvalidArgumentError);
    await expect(one.leases.acquire('a', { ttl: 0 })).rejects.toBeInstanceOf(InvalidArgumentError);
    await expect(one.leases.acquire('a', { ttl: '1s', wait: 'long' })).rejects.toBeInstanceOf(
      InvalidArgumentError,
    );
  });

  it('works where transactions see the past by default', async () => {
    const url = `${database.url}?options=${encodeURIComponent('-c default_transaction_isolation=serializable')}`;
    const strict = [1, 2, 3].map(() => new Postgres({ url, options: { max: 1 } }));
    try {
      for (let round = 0; round < 10; round++) {
        const outcomes = await Promise.allSettled(
          strict.map((each) => each.leases.acquire(name, { ttl: '10s' })),
        );
        const won = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
        expect(won.length).toBeLessThanOrEqual(1);
        for (const outcome of outcomes) {
          if (outcome.status === 'rejected') expect(outcome.reason).toBeInstanceOf(LeaseUnavailableError);
        }
        await won[0]?.release();
      }
    } finally {
      await Promise.all(strict.map((each) => each.close()));
    }
  });

  it('needs no more privileges than the documentation says', async () => {
    const guide = readFileSync(new URL('../../../docs/postgres-primitives.md', import.meta.url), 'utf8');
    const grants = /```sql\n(grant [^`]*)```/.exec(guide)![1]!;
    const role = `app_${database.name}`;
    await one.query(`create role ${role} login; ${grants.replaceAll('to app', `to ${role}`)}`);
    const url = new URL(database.url);
    url.username = role;
    const app = new Postgres({ url: url.href, options: { max: 2 } });
    try {
      await Migrations.ofFoundation(app).check();
      const lease = await app.leases.acquire(name, { ttl: '1s' });
      await lease.renew();
      await lease.assertHeld();
      const next = await app.leases.acquire(name, { ttl: '10s', wait: '5s' });
      await next.release();
      await app.query(`select nestbox.sweep_leases('1 hour', 10)`);
      await one.query(`
        create sequence of_app minvalue 0 start 0; select nextval('of_app');
        grant usage on sequence of_app to ${role}`);
      await app.query(`select nestbox.enter_log('of_app'), nextval('of_app')`);
      const log = new OrderedLog(app, { sequence: { schema: 'public', name: 'of_app' } });
      expect(await log.watermark()).toBe(1n);
    } finally {
      await app.close();
      await one.query(`drop owned by ${role}; drop role ${role}`);
    }
  });
});
