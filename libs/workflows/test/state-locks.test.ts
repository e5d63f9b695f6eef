import { InvalidArgumentError } from '@nestbox/core';
import { Postgres } from '@nestbox/postgres';
import { eventually, spawnFixture, testDatabase, type TestDatabase } from '@nestbox/testing';
import postgresJs from 'postgres';
import { RunLockLostError } from '../src/state/state.errors.js';
import { PgWorkflowStateService } from '../src/state/pg.workflow-state.service.js';

let database: TestDatabase;
let postgres: Postgres;
let state: PgWorkflowStateService;
const opened: PgWorkflowStateService[] = [];

beforeAll(async () => {
  database = await testDatabase();
  postgres = new Postgres({ url: database.url, options: { max: 5 } });
  state = open();
  await state.init();
  await postgres.query(
    `create table counts (id text primary key, n integer not null);
     insert into counts select 'run-' || i, 0 from generate_series(0, 9) i`,
  );
});

afterAll(async () => {
  await Promise.all(opened.map((service) => service.close()));
  await postgres.close();
  await database.drop();
});

function open(
  source: ConstructorParameters<typeof PgWorkflowStateService>[0] = postgres,
): PgWorkflowStateService {
  const service = new PgWorkflowStateService(source);
  opened.push(service);
  return service;
}

/** Something to wait for. */
function gate(): { opened: Promise<void>; open: () => void } {
  let pass!: () => void;
  const whenOpen = new Promise<void>((resolve) => {
    pass = resolve;
  });
  return { opened: whenOpen, open: pass };
}

/** The backends that hold advisory locks for a session. */
async function holders(): Promise<number[]> {
  const rows = await postgres.query(
    `select distinct l.pid from pg_locks l join pg_stat_activity a using (pid)
     where l.locktype = 'advisory' and l.granted and a.datname = current_database()`,
  );
  return rows.map(({ pid }) => Number(pid));
}

/** Ends the connection that has the locks. */
async function killHolder(): Promise<void> {
  const pids = await holders();
  expect(pids).toHaveLength(1);
  await postgres.query('select pg_terminate_backend($1::integer)', [pids[0]]);
}

describe('withRunLock', () => {
  it('lets fifty go on, on a pool of five, whose functions use the pool, on one connection', async () => {
    const done = await Promise.all(
      Array.from({ length: 50 }, (_, i) =>
        state.withRunLock(`fifty-${i}`, async () => {
          await Promise.all([postgres.query('select pg_sleep(0.01)'), postgres.query('select 1')]);
          expect(await holders()).toHaveLength(1);
          return i;
        }),
      ),
    );
    expect(done).toHaveLength(50);
    expect(await holders()).toEqual([]);
  });

  it('takes no connection of the pool', async () => {
    const one = new Postgres({ url: database.url, options: { max: 1 } });
    try {
      const service = open(one);
      const [row] = await service.withRunLock('narrow', () => one.query('select 1 as one'));
      expect(row!['one']).toBe(1);
      expect(await service.withRunLock('narrow', async () => one.poolFigures!.busy)).toBe(0);
    } finally {
      await opened.pop()!.close();
      await one.close();
    }
  });

  it('works beside a shared client of one connection, and leaves it open', async () => {
    const sql = postgresJs(database.url, { max: 1, onnotice: () => undefined });
    try {
      const service = open(sql);
      const rows = await service.withRunLock('shared', async () => sql`select 1 as one`);
      expect(rows[0]).toEqual({ one: 1 });
      await service.close();
      expect(await sql`select 2 as two`).toHaveLength(1);
    } finally {
      await sql.end({ timeout: 5 });
    }
  });

  it('keeps two services apart, and others meanwhile going', async () => {
    const other = open();
    const hold = gate();
    const held = gate();
    const first = state.withRunLock('apart', async () => {
      held.open();
      await hold.opened;
    });
    await held.opened;
    let entered = false;
    const second = other.withRunLock('apart', async () => {
      entered = true;
    });
    // Those that wait keep nobody else waiting.
    for (let i = 0; i < 20; i++) expect(await other.withRunLock(`free-${i}`, async () => i)).toBe(i);
    expect(entered).toBe(false);
    hold.open();
    await Promise.all([first, second]);
    expect(entered).toBe(true);
  });

  it('lets services of several schemas have runs of the same id', async () => {
    const other = new PgWorkflowStateService(postgres, undefined, 'other "workflows"');
    opened.push(other);
    expect(await state.withRunLock('same', () => other.withRunLock('same', async () => 1))).toBe(1);
  });

  it('lets a service that waits go before those of another that come later', async () => {
    const other = open();
    await other.withRunLock('warm', async () => undefined);
    const order: string[] = [];
    const hold = gate();
    const held = gate();
    const enter = (name: string) => async (): Promise<void> => {
      order.push(name);
      await postgres.query('select pg_sleep(0.02)');
    };
    const first = state.withRunLock('fair', async () => {
      held.open();
      await hold.opened;
    });
    await held.opened;
    const waiting = other.withRunLock('fair', enter('other'));
    // It holds its turn.
    await eventually(async () => expect(await holders()).toHaveLength(2));
    const later = Array.from({ length: 20 }, () => state.withRunLock('fair', enter('own')));
    hold.open();
    await Promise.all([first, waiting, ...later]);
    expect(order.indexOf('other')).toBe(0);
    expect(order).toHaveLength(21);
  });

  it('refuses to be called inside a transaction, whose commit would come after it', async () => {
    const nested = postgres.transaction(() => state.withRunLock('in a transaction', async () => 1));
    await expect(nested).rejects.toBeInstanceOf(InvalidArgumentError);
  });

  it('aborts, and rejects after the function has ended, when its connection is killed', async () => {
    const seen: unknown[] = [];
    let ended = false;
    const run = state.withRunLock('killed', async (signal) => {
      expect(signal.aborted).toBe(false);
      await killHolder();
      await eventually(() => expect(signal.aborted).toBe(true));
      seen.push(signal.reason);
      // Somebody else may have it now.
      expect(await open().withRunLock('killed', async () => 'theirs')).toBe('theirs');
      ended = true;
      return 'mine';
    });
    await expect(run).rejects.toBeInstanceOf(RunLockLostError);
    expect(ended).toBe(true);
    expect(seen[0]).toMatchObject({ code: 'RUN_LOCK_LOST', runId: 'killed' });
    expect(await state.withRunLock('killed', async () => 'again')).toBe('again');
  });

  it('notices a connection that was lost just before the end', async () => {
    const run = state.withRunLock('late', async () => {
      await killHolder();
      throw new Error('its own');
    });
    await expect(run).rejects.toMatchObject({ code: 'RUN_LOCK_LOST', cause: { message: 'its own' } });
  });

  it('takes the lock all the same when the connection is killed while it waits', async () => {
    const other = open();
    const hold = gate();
    const held = gate();
    const first = other.withRunLock('patience', async (signal) => {
      held.open();
      await hold.opened;
      return signal.aborted;
    });
    await held.opened;
    const [holder] = await holders();
    const second = state.withRunLock('patience', async () => 'had it');
    const waiter = await eventually(async () => {
      const pid = (await holders()).find((each) => each !== holder);
      if (pid === undefined) throw new Error('It does not wait yet.');
      return pid;
    });
    await postgres.query('select pg_terminate_backend($1::integer)', [waiter]);
    await eventually(async () => expect((await holders()).filter((pid) => pid !== waiter)).toHaveLength(2));
    hold.open();
    expect(await first).toBe(false);
    expect(await second).toBe('had it');
  });

  it('gives its locks up when it is closed, and takes no more', async () => {
    const service = open();
    const run = service.withRunLock('closed', async (signal) => {
      await service.close();
      return signal.aborted;
    });
    await expect(run).rejects.toMatchObject({ code: 'RUN_LOCK_LOST' });
    await expect(service.withRunLock('closed', async () => 1)).rejects.toMatchObject({ code: 'CLOSED' });
    await eventually(async () => expect(await holders()).toEqual([]));
  });

  it('rejects with the reason where there is no server', async () => {
    const nowhere = new PgWorkflowStateService('postgres://nobody@127.0.0.1:1/none');
    await expect(nowhere.withRunLock('x', async () => 1)).rejects.toMatchObject({
      name: expect.any(String) as unknown,
    });
    await nowhere.close();
  });
});

describe('Several processes', () => {
  it('never count at the same time', async () => {
    const args = [database.url, '10', '200'];
    const file = new URL('./fixtures/run-lock.mjs', import.meta.url);
    const processes = await Promise.all([1, 2, 3].map(() => spawnFixture(file, { args })));
    try {
      await Promise.all(processes.map((each) => each.waitFor('ready', 20_000)));
      for (const each of processes) each.send({});
      await Promise.all(processes.map((each) => each.waitFor('counted', 40_000)));
      const [row] = await postgres.query('select sum(n)::integer as sum from counts');
      expect(row!['sum']).toBe(600);
    } finally {
      await Promise.all(processes.map((each) => each.kill()));
    }
  }, 60_000);

  it('take over the lock of one that was killed', async () => {
    const holder = await spawnFixture(new URL('./fixtures/run-lock.mjs', import.meta.url), {
      args: [database.url, '1', '1'],
    });
    await holder.waitFor('ready', 20_000);
    holder.send({ hold: 'taken over' });
    await holder.waitFor('held');
    let entered = false;
    const waiting = state.withRunLock('taken over', async () => {
      entered = true;
    });
    await eventually(async () => expect(await holders()).toHaveLength(2));
    expect(entered).toBe(false);
    await holder.kill();
    await waiting;
    expect(entered).toBe(true);
  }, 40_000);
});
