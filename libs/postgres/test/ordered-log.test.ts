import fc from 'fast-check';
import { Migrations, OrderedLog, OrderedLogError, Postgres, type Transaction } from '@nestbox/postgres';
import { eventually, spawnFixture, testDatabase, type TestDatabase } from '@nestbox/testing';

const SCHEMA = `
  create sequence log_position as bigint minvalue 0 start 0;
  select nextval('log_position');
  create table log (position bigint primary key, writer integer);
  create table other (id bigserial primary key);
  create sequence second_position as bigint minvalue 0 start 0;
  select nextval('second_position');`;

describe('OrderedLog', () => {
  let database: TestDatabase;
  let postgres: Postgres;
  let log: OrderedLog;

  beforeEach(async () => {
    database = await testDatabase();
    postgres = new Postgres({ url: database.url, options: { max: 12 } });
    await Migrations.ofFoundation(postgres).run();
    await postgres.query(SCHEMA);
    log = new OrderedLog(postgres, { sequence: { schema: 'public', name: 'log_position' } });
  });

  afterEach(async () => {
    await postgres.close();
    await database.drop();
  });

  /** A transaction that stays open until told otherwise. */
  async function open(
    on = postgres,
  ): Promise<{ tx: Transaction; commit(): Promise<void>; rollback(): Promise<void> }> {
    let begun: (tx: Transaction) => void;
    let end: (error?: Error) => void;
    const began = new Promise<Transaction>((resolve) => (begun = resolve));
    const finished = on.transaction(async (tx) => {
      begun(tx);
      await new Promise<void>((resolve, reject) => (end = (error) => (error ? reject(error) : resolve())));
    });
    finished.catch(() => undefined);
    const tx = await began;
    return {
      tx,
      commit: () => (end(), finished),
      rollback: () => (end(new Error('rolled back')), finished.catch(() => undefined)),
    };
  }

  const enter = (tx: Pick<Transaction, 'query'>, name = 'log_position'): Promise<unknown> =>
    tx.query('select nestbox.enter_log($1::text::regclass)', [name]);
  const draw = async (tx: Pick<Transaction, 'query'>, name = 'log_position'): Promise<bigint> => {
    const [row] = await tx.query<{ position: string }>(
      'select nextval($1::text::regclass)::text as position',
      [name],
    );
    return BigInt(row!.position);
  };
  const write = async (tx: Pick<Transaction, 'query'>): Promise<bigint> => {
    await enter(tx);
    const position = await draw(tx);
    await tx.query('insert into log (position) values ($1::text::bigint)', [String(position)]);
    return position;
  };

  it('is at 0 before the first write, whose position is 1', async () => {
    expect(await log.watermark()).toBe(0n);
    const first = await open();
    expect(await write(first.tx)).toBe(1n);
    expect(await log.watermark()).toBe(0n);
    await first.commit();
    expect(await log.watermark()).toBe(1n);
  });

  it('stays below every transaction that may still commit, and moves on when the lowest one ends', async () => {
    const [a, b, c] = await Promise.all([open(), open(), open()]);
    await write(a.tx); // 1
    await write(b.tx); // 2
    await write(c.tx); // 3
    await c.commit();
    expect(await log.watermark()).toBe(0n);
    await a.rollback();
    expect(await log.watermark()).toBe(1n);
    await write(b.tx); // 4: its first position still counts
    expect(await log.watermark()).toBe(1n);
    await b.commit();
    expect(await log.watermark()).toBe(4n);
  });

  it('takes one lock, however often a transaction writes', async () => {
    const writer = await open();
    for (let i = 0; i < 50; i++) {
      await write(writer.tx);
      // Others draw in between, so that the key would be another one each time.
      await postgres.transaction(write);
    }
    const locks = await postgres.query(`
      select objid from pg_locks
       where locktype = 'advisory'
         and database = (select oid from pg_database where datname = current_database())`);
    expect(locks).toHaveLength(1);
    expect(await log.watermark()).toBe(0n);
    await writer.commit();
    expect(await log.watermark()).toBe(100n);
  });

  it('knows that a rollback to a savepoint gives the lock back', async () => {
    const writer = await open();
    await writer.tx.savepoint(async (savepoint) => void (await write(savepoint)));
    const failed = writer.tx.savepoint(async (savepoint) => {
      await write(savepoint);
      throw new Error('rolled back');
    });
    await expect(failed).rejects.toThrow('rolled back');
    expect(await log.watermark()).toBe(0n);
    await writer.rollback();

    const second = await open();
    const again = second.tx.savepoint(async (savepoint) => {
      await write(savepoint);
      throw new Error('rolled back');
    });
    await expect(again).rejects.toThrow('rolled back');
    const watermark = await log.watermark();
    const position = await write(second.tx);
    await postgres.transaction(write);
    expect(position).toBeGreaterThan(watermark);
    expect(await log.watermark()).toBe(position - 1n);
    await second.commit();
  });

  it('is held up by nothing but writers of this log in this database', async () => {
    const copy = `${database.name}_copy`;
    const server = new Postgres({ url: new URL('/postgres', database.url).href, options: { max: 1 } });
    await postgres.close();
    // A copy has the same OIDs, so that its locks look the same but for the database.
    await server.query(`create database ${copy} template ${database.name}`);
    const elsewhere = new Postgres({ url: new URL(`/${copy}`, database.url).href, options: { max: 2 } });
    postgres = new Postgres({ url: database.url, options: { max: 12 } });
    log = new OrderedLog(postgres, { sequence: { schema: 'public', name: 'log_position' } });
    try {
      const others = await Promise.all([open(), open(), open(), open(elsewhere)]);
      const [idle, second, advisory, far] = others;
      await idle.tx.query('insert into other default values');
      await enter(second.tx, 'second_position');
      await draw(second.tx, 'second_position');
      // Locks of other kinds with the same numbers: one key of 64 bits, and an exclusive one of somebody else.
      await advisory.tx.query(
        `select pg_advisory_xact_lock(('log_position'::regclass::oid::bigint << 32) + 0)`,
      );
      await advisory.tx.query(`select pg_advisory_xact_lock(7, 0)`);
      await write(far.tx);
      for (let i = 1n; i <= 3n; i++) {
        await postgres.transaction(write);
        expect(await log.watermark()).toBe(i);
      }
      await Promise.all(others.map((other) => other.rollback()));
    } finally {
      await elsewhere.close();
      await server.query(`drop database ${copy} with (force)`);
      await server.close();
    }
  });

  it.each([2n ** 31n, 2n ** 32n, 2n ** 32n + 2n ** 31n, 2n ** 33n, 2n ** 40n + 2n ** 32n, 2n ** 62n])(
    'counts on beyond %s, of which keys hold but 32 bits',
    async (boundary) => {
      await postgres.query(`select setval('log_position', $1::text::bigint)`, [String(boundary - 3n)]);
      const first = await open();
      expect(await write(first.tx)).toBe(boundary - 2n);
      for (let i = 0; i < 3; i++) await postgres.transaction(write);
      const second = await open();
      expect(await write(second.tx)).toBe(boundary + 2n);
      await postgres.transaction(write);
      expect(await log.watermark()).toBe(boundary - 3n);
      await first.commit();
      expect(await log.watermark()).toBe(boundary + 1n);
      await second.commit();
      expect(await log.watermark()).toBe(boundary + 3n);
    },
  );

  it('gives a reader every committed position exactly once and in order, whatever the order of events', async () => {
    const action = fc.record({
      writer: fc.nat(3),
      what: fc.constantFrom(
        'enter',
        'write',
        'write',
        'write in vain',
        'commit',
        'commit',
        'rollback',
        'read',
      ),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(action, { minLength: 10, maxLength: 40 }), async (actions) => {
        await postgres.query(`truncate log`);
        const [{ newest } = { newest: '0' }] = await postgres.query<{ newest: string }>(
          `select last_value::text as newest from log_position`,
        );
        let cursor = BigInt(newest);
        const seen: string[] = [];
        const read = async (): Promise<void> => {
          const { rows } = await log.read(cursor, ({ after, upTo }) =>
            postgres.query<{ position: string }>(
              `select position::text as position from log
                where position > $1::text::bigint and position <= $2::text::bigint order by log.position`,
              [String(after), String(upTo)],
            ),
          );
          for (const { position } of rows) seen.push(position);
          if (rows.length > 0) cursor = BigInt(rows.at(-1)!.position);
        };
        const writers = new Map<number, Awaited<ReturnType<typeof open>>>();
        for (const { writer, what } of actions) {
          if (what === 'read') {
            await read();
            continue;
          }
          if (!writers.has(writer)) writers.set(writer, await open());
          const { tx, commit, rollback } = writers.get(writer)!;
          if (what === 'enter') await enter(tx);
          else if (what === 'write') await write(tx);
          else if (what === 'write in vain') {
            const inVain = tx.savepoint(async (savepoint) => {
              await write(savepoint);
              throw new Error('in vain');
            });
            await expect(inVain).rejects.toThrow('in vain');
          } else {
            writers.delete(writer);
            await (what === 'commit' ? commit() : rollback());
          }
        }
        await Promise.all([...writers.values()].map(({ commit }) => commit()));
        await read();
        const all = await postgres.query<{ position: string }>(
          `select position::text as position from log order by 1`,
        );
        const expected = all.map((row) => BigInt(row.position)).sort((a, b) => (a < b ? -1 : 1));
        expect(seen.map(BigInt)).toEqual(expected);
      }),
      { numRuns: 40 },
    );
  });

  it('gives readers in other processes all that several processes commit, and is not held up by the idle', async () => {
    const idle = await open();
    await idle.tx.query('insert into other default values');
    const fixture = (name: string, ...args: string[]): ReturnType<typeof spawnFixture> =>
      spawnFixture(new URL(`./fixtures/${name}.mjs`, import.meta.url), { args: [database.url, ...args] });
    const readers = await Promise.all([fixture('log-reader'), fixture('log-reader')]);
    await Promise.all(readers.map((reader) => reader.waitFor('ready')));
    const writers = await Promise.all([fixture('log-writer', '6', '40'), fixture('log-writer', '6', '40')]);
    await Promise.all(writers.map((writer) => writer.waitFor('done', 25_000)));
    for (const reader of readers) reader.send('stop');

    const rows = await postgres.query<{ position: string }>(
      `select position::text as position from log order by log.position`,
    );
    const committed = rows.map((row) => row.position);
    expect(committed.length).toBeGreaterThan(300);
    for (const reader of readers) {
      const { positions } = await reader.waitFor<{ type: string; positions: string[] }>('positions');
      expect(positions).toEqual(committed);
    }
    await idle.commit();
    await Promise.all([...readers, ...writers].map((child) => child.exited));
  });

  it('forgets a writer that was killed', async () => {
    const writer = await spawnFixture(new URL('./fixtures/log-writer.mjs', import.meta.url), {
      args: [database.url, '1', '0', 'hang'],
    });
    await writer.waitFor('begun');
    await postgres.transaction(write);
    expect(await log.watermark()).toBe(0n);
    await writer.kill('SIGKILL');
    await eventually(async () => expect(await log.watermark()).toBe(2n));
    const { rows } = await log.read(0n, () => postgres.query('select position::text as position from log'));
    expect(rows).toEqual([{ position: '2' }]);
  });

  it('does not call fetch when nothing can be new', async () => {
    await postgres.transaction(write);
    const fetch = async (): Promise<never> => Promise.reject(new Error('not to be called'));
    expect(await log.read(1n, fetch)).toEqual({ rows: [], upTo: 1n });
  });

  it('refuses to be read where transactions see the past', async () => {
    for (const isolationLevel of ['repeatable read', 'serializable'] as const) {
      await expect(postgres.transaction(() => log.watermark(), { isolationLevel })).rejects.toThrow(
        OrderedLogError,
      );
    }
    expect(await postgres.transaction(() => log.watermark(), { isolationLevel: 'read committed' })).toBe(0n);
    await postgres.query(
      `alter database ${database.name} set default_transaction_isolation = 'serializable'`,
    );
    const strict = new Postgres({ url: database.url, options: { max: 1 } });
    // Statements of their own are transactions of their own.
    expect(
      await new OrderedLog(strict, { sequence: { schema: 'public', name: 'log_position' } }).watermark(),
    ).toBe(0n);
    await strict.close();
  });

  it('refuses a sequence that cannot order a log', async () => {
    await postgres.query(`
      create sequence cached minvalue 0 start 0 cache 10; select nextval('cached');
      create sequence cycling minvalue 0 start 0 cycle; select nextval('cycling');
      create sequence untouched`);
    const of = (name: string): OrderedLog =>
      new OrderedLog(postgres, { sequence: { schema: 'public', name } });
    await expect(of('cached').watermark()).rejects.toThrow('must have cache 1');
    await expect(of('cycling').watermark()).rejects.toThrow(OrderedLogError);
    await expect(of('untouched').watermark()).rejects.toThrow('sequence untouched cannot order a log');
    await expect(of('absent').watermark()).rejects.toThrow('does not exist');
    expect(() => of('')).toThrow('sequence.name');
  });
});
