import { setTimeout as sleep } from 'node:timers/promises';
import { jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { InvalidArgumentError } from '@nestbox/core';
import { eventually, testDatabase, type TestDatabase } from '@nestbox/testing';
import fc from 'fast-check';
import postgres from 'postgres';
import {
  CommitOutcomeUnknownError,
  Postgres,
  TransactionClosedError,
  type Transaction,
} from '@nestbox/postgres';

let database: TestDatabase;
let admin: postgres.Sql;

beforeAll(async () => {
  database = await testDatabase();
  admin = postgres(database.url, { max: 1, onnotice: () => undefined });
  await admin`create table item (id serial, name text not null, unique (name) deferrable initially immediate)`;
});

beforeEach(() => admin`truncate item`);

afterAll(async () => {
  await admin.end({ timeout: 5 });
  await database.drop();
});

async function names(): Promise<string[]> {
  const rows = await admin<{ name: string }[]>`select name from item order by id`;
  return rows.map(({ name }) => name);
}

/** Ends a backend, as an operator or a crash does. */
async function kill(pid: unknown): Promise<void> {
  await admin`select pg_terminate_backend(${Number(pid)}, 5000)`;
}

// Both ways of getting a connection have to keep all promises.
describe.each(['owned', 'shared'] as const)('transactions, client %s', (kind) => {
  let client: postgres.Sql | undefined;
  let db: Postgres;

  beforeEach(() => {
    client = kind === 'shared' ? postgres(database.url, { max: 5, onnotice: () => undefined }) : undefined;
    db = new Postgres(client === undefined ? { url: database.url, options: { max: 5 } } : { client });
  });

  afterEach(async () => {
    await db.close();
    await client?.end({ timeout: 1 });
  });

  function insert(name: string): Promise<unknown> {
    return db.query('insert into item (name) values ($1)', [name]);
  }

  async function backendOf(transaction: Transaction): Promise<unknown> {
    const [row] = await transaction.query('select pg_backend_pid() as pid');
    return row!['pid'];
  }

  it('commits what was done inside, and resolves to what the function returned', async () => {
    const result = await db.transaction(async () => {
      await insert('a');
      expect(await names()).toEqual([]);
      return 'done';
    });
    expect(result).toBe('done');
    expect(await names()).toEqual(['a']);
  });

  it('rolls back and rejects with the very error that the function threw', async () => {
    const problem = new Error('no');
    const running = db.transaction(async () => {
      await insert('a');
      throw problem;
    });
    await expect(running).rejects.toBe(problem);
    expect(await names()).toEqual([]);
  });

  it('rejects when the function throws before it returns a promise', async () => {
    const running = db.transaction(() => {
      throw new Error('at once');
    });
    await expect(running).rejects.toThrow('at once');
  });

  it('lets statements elsewhere in the call stack join, and none outside of it', async () => {
    await db.transaction(async (transaction) => {
      expect(db.currentTransaction).toBe(transaction);
      const inside = await db.query('select pg_current_xact_id()::text as id');
      await sleep(1);
      expect(await db.query('select pg_current_xact_id()::text as id')).toEqual(inside);
    });
    expect(db.currentTransaction).toBeUndefined();
  });

  it('runs a nested transaction as a savepoint, which may fail alone', async () => {
    await db.transaction(async () => {
      await insert('a');
      await expect(
        db.transaction(async () => {
          await insert('b');
          await db.query('select 1/0');
        }),
      ).rejects.toThrow('division by zero');
      await db.transaction(() => insert('c'));
      await insert('d');
    });
    expect(await names()).toEqual(['a', 'c', 'd']);
  });

  it('runs parallel nested transactions one after the other', async () => {
    await db.transaction(async () => {
      const outcomes = await Promise.allSettled(
        Array.from({ length: 10 }, (_, i) =>
          db.transaction(async () => {
            await insert(`${i}a`);
            await sleep(1);
            if (i % 2 === 1) throw new Error('odd');
            await insert(`${i}b`);
          }),
        ),
      );
      expect(outcomes.filter(({ status }) => status === 'rejected')).toHaveLength(5);
    });
    expect(await names()).toEqual(['0a', '0b', '2a', '2b', '4a', '4b', '6a', '6b', '8a', '8b']);
  });

  it('does not undo an outer statement that was called beside a nested transaction which fails', async () => {
    await db.transaction(async (outer) => {
      const nested = db.transaction(async () => {
        await insert('nested');
        await sleep(5);
        throw new Error('no');
      });
      const beside = outer.query(`insert into item (name) values ('beside')`);
      await expect(nested).rejects.toThrow('no');
      await beside;
    });
    expect(await names()).toEqual(['beside']);
  });

  it('counts a call on the outer transaction inside a nested one as the nested one’s', async () => {
    await db.transaction(async (outer) => {
      await expect(
        db.transaction(async () => {
          await outer.query(`insert into item (name) values ('a')`);
          throw new Error('no');
        }),
      ).rejects.toThrow('no');
    });
    expect(await names()).toEqual([]);
  });

  it('fails as a whole when the error of a statement was swallowed without a savepoint', async () => {
    const running = db.transaction(async (transaction) => {
      await insert('a');
      await transaction.query('select 1/0').catch(() => undefined);
      return 'all is well';
    });
    const error = await running.catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(TransactionClosedError);
    expect(error).toMatchObject({
      state: 'failed',
      message: expect.stringContaining('a statement in it failed: division by zero'),
      cause: { code: '22012' },
    });
    expect(await names()).toEqual([]);
  });

  it('sends nothing after a failed statement', async () => {
    const running = db.transaction(async (transaction) => {
      await transaction.query('select 1/0').catch(() => undefined);
      await expect(transaction.query('select 1')).rejects.toThrow(TransactionClosedError);
      await expect(transaction.savepoint(async () => undefined)).rejects.toThrow(TransactionClosedError);
      expect(() => transaction.afterCommit(() => undefined)).toThrow(TransactionClosedError);
    });
    await expect(running).rejects.toThrow(TransactionClosedError);
  });

  it('fails when a statement that was not awaited fails, and leaves no unhandled rejection', async () => {
    const running = db.transaction(async () => {
      void insert('a');
      void db.query('select 1/0');
    });
    await expect(running).rejects.toThrow('division by zero');
    expect(await names()).toEqual([]);
  });

  it('waits for statements that were not awaited before it commits', async () => {
    await db.transaction(async () => {
      void db.query('select pg_sleep(0.05)');
      void insert('a');
    });
    expect(await names()).toEqual(['a']);
  });

  it('rejects at once when the function rejects, without waiting for a nested one that is stuck', async () => {
    let release!: () => void;
    const stuck = new Promise<void>((resolve) => {
      release = resolve;
    });
    let late: Promise<unknown> | undefined;
    const running = db.transaction(async () => {
      const nested = db.transaction(async () => {
        await insert('nested');
        await stuck;
        late = insert('late');
        await late;
      });
      nested.catch(() => undefined);
      await sleep(20);
      throw new Error('no');
    });
    await expect(running).rejects.toThrow('no');
    release();
    await eventually(() => late !== undefined);
    await expect(late).rejects.toThrow(TransactionClosedError);
    expect(await names()).toEqual([]);
  });

  it('refuses a late statement, also where the call is made outside of it', async () => {
    let leaked!: Transaction;
    let late!: Promise<unknown>;
    await db.transaction(async (transaction) => {
      leaked = transaction;
      late = sleep(20).then(() => insert('late'));
      late.catch(() => undefined);
    });
    await expect(late).rejects.toMatchObject({ code: 'TRANSACTION_CLOSED', state: 'committed' });
    await expect(leaked.query('select 1')).rejects.toThrow('This transaction is over.');
    expect(() => leaked.afterCommit(() => undefined)).toThrow(TransactionClosedError);
    await db
      .transaction(async () => {
        throw new Error('no');
      })
      .catch(() => undefined);
    expect(await names()).toEqual([]);
  });

  it('refuses a late statement of a savepoint that is over, while the transaction goes on', async () => {
    await db.transaction(async () => {
      let late!: Promise<unknown>;
      await db.transaction(async () => {
        late = sleep(10).then(() => insert('late'));
        late.catch(() => undefined);
      });
      await expect(late).rejects.toThrow('This savepoint is over.');
      await insert('a');
    });
    expect(await names()).toEqual(['a']);
  });

  it('gives one error, lands nothing and leaves the pool usable when the backend is killed with queries queued', async () => {
    const running = db.transaction(async (transaction) => {
      await insert('before');
      const pid = await backendOf(transaction);
      const queued = [
        transaction.query('select pg_sleep(10)'),
        ...Array.from({ length: 20 }, (_, i) => insert(`queued ${i}`)),
      ];
      await Promise.all([kill(pid), ...queued]);
    });
    const error = await running.catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(Error);
    const others = async (): Promise<unknown[]> =>
      (await Promise.all(Array.from({ length: 20 }, () => db.query('select 1 as one')))).flat();
    // postgres.js reports the end of a lost connection a second time, to its next user.
    expect(kind === 'owned' ? await others() : await eventually(others)).toHaveLength(20);
    expect(await names()).toEqual([]);
  });

  it('lands nothing when the function swallows the lost connection and goes on', async () => {
    const running = db.transaction(async (transaction) => {
      const pid = await backendOf(transaction);
      const sleeping = transaction.query('select pg_sleep(10)').catch(() => undefined);
      await kill(pid);
      await sleeping;
      for (let i = 0; i < 20; i++) {
        await insert(`late ${i}`).catch(() => undefined);
        await sleep(2);
      }
      return 'fine';
    });
    await expect(running).rejects.toMatchObject({ code: 'TRANSACTION_CLOSED', state: 'lost' });
    expect(await names()).toEqual([]);
  });

  it('notices a connection that was lost while no statement was under way', async () => {
    const running = db.transaction(async (transaction) => {
      await insert('a');
      await kill(await backendOf(transaction));
      await eventually(async () => {
        await expect(transaction.query('select 1')).rejects.toThrow();
      });
      await expect(transaction.savepoint(() => insert('b'))).rejects.toMatchObject({ state: 'lost' });
    });
    await expect(running).rejects.toMatchObject({ code: 'TRANSACTION_CLOSED', state: 'lost' });
    expect(await names()).toEqual([]);
    expect(await db.query('select 1 as one')).toEqual([{ one: 1 }]);
  });

  it('says that the outcome is unknown when the connection is lost during COMMIT', async () => {
    // A deferred trigger makes COMMIT take its time.
    await admin.unsafe(`
      create table slow (id int);
      create function wait() returns trigger language plpgsql as 'begin perform pg_sleep(10); return null; end';
      create constraint trigger wait after insert on slow deferrable initially deferred for each row execute function wait()`);
    const afterCommit = jest.fn<() => void>();
    let pid: unknown;
    const running = db.transaction(async (transaction) => {
      pid = await backendOf(transaction);
      transaction.afterCommit(afterCommit);
      await transaction.query('insert into slow values (1)');
    });
    const outcome = running.catch((reason: unknown) => reason);
    await eventually(async () => {
      const [row] = await admin`select query from pg_stat_activity where pid = ${Number(pid)}`;
      return row!['query'] === 'commit';
    });
    await kill(pid);
    expect(await outcome).toBeInstanceOf(CommitOutcomeUnknownError);
    expect(await outcome).toMatchObject({ code: 'COMMIT_OUTCOME_UNKNOWN', cause: expect.any(Error) });
    expect(afterCommit).not.toHaveBeenCalled();
    await admin.unsafe('drop table slow; drop function wait');
  });

  it('rejects with the reason when COMMIT itself fails, and runs no after-commit work', async () => {
    const afterCommit = jest.fn<() => void>();
    const running = db.transaction(async (transaction) => {
      transaction.afterCommit(afterCommit);
      await db.query('set constraints all deferred');
      await insert('same');
      await insert('same');
    });
    await expect(running).rejects.toMatchObject({ code: '23505' });
    expect(afterCommit).not.toHaveBeenCalled();
    expect(await names()).toEqual([]);
    expect(await db.query('select 1 as one')).toEqual([{ one: 1 }]);
  });

  it('runs after-commit work in the order of registration, after the outermost commit, outside of it', async () => {
    const seen: unknown[] = [];
    await db.transaction(async (transaction) => {
      transaction.afterCommit(async () => {
        await sleep(5);
        seen.push(['first', db.currentTransaction, await names()]);
      });
      await db.transaction(async (nested) => {
        nested.afterCommit(() => {
          seen.push('nested');
        });
        await insert('a');
      });
      transaction.afterCommit(() => {
        seen.push('last');
      });
      expect(seen).toEqual([]);
    });
    expect(seen).toEqual([['first', undefined, ['a']], 'nested', 'last']);
  });

  it('drops the after-commit work of what was rolled back', async () => {
    const seen: string[] = [];
    const note = (text: string) => () => void seen.push(text);
    await db.transaction(async (transaction) => {
      transaction.afterCommit(note('outer'));
      await db
        .transaction(async (failing) => {
          failing.afterCommit(note('failing'));
          await db.transaction(async (inner) => inner.afterCommit(note('inside the failing one')));
          throw new Error('no');
        })
        .catch(() => undefined);
      await db.transaction(async (nested) => nested.afterCommit(note('nested')));
    });
    await db
      .transaction(async (transaction) => {
        transaction.afterCommit(note('rolled back'));
        throw new Error('no');
      })
      .catch(() => undefined);
    expect(seen).toEqual(['outer', 'nested']);
  });

  it('logs errors of after-commit work, and resolves all the same', async () => {
    const logged = jest.spyOn(Logger.prototype, 'error').mockImplementation(() => undefined);
    const last = jest.fn<() => void>();
    const result = await db.transaction(async (transaction) => {
      transaction.afterCommit(() => {
        throw new Error('first');
      });
      transaction.afterCommit(() => Promise.reject(new Error('second')));
      transaction.afterCommit(last);
      return 7;
    });
    expect(result).toBe(7);
    expect(last).toHaveBeenCalledTimes(1);
    expect(logged.mock.calls.map(([message]) => message)).toEqual([
      expect.stringContaining('first'),
      expect.stringContaining('second'),
    ]);
    logged.mockRestore();
  });

  it('lets after-commit work begin a transaction of its own', async () => {
    await db.transaction(async (transaction) => {
      transaction.afterCommit(() => db.transaction(() => insert('later')).then(() => undefined));
    });
    expect(await names()).toEqual(['later']);
  });

  it('takes an isolation level and read-only mode', async () => {
    const settings = await db.transaction(
      () =>
        db.query(
          `select current_setting('transaction_isolation') as level, current_setting('transaction_read_only') as read_only`,
        ),
      { isolationLevel: 'repeatable read', readOnly: true },
    );
    expect(settings).toEqual([{ level: 'repeatable read', read_only: 'on' }]);
    await expect(db.transaction(() => insert('a'), { readOnly: true })).rejects.toMatchObject({
      code: '25006',
    });
  });

  it('refuses modes that are unknown, and modes on a nested transaction', async () => {
    const unknown = db.transaction(async () => undefined, { isolationLevel: 'chaos' as 'serializable' });
    await expect(unknown).rejects.toThrow(InvalidArgumentError);
    await db.transaction(async () => {
      await expect(db.transaction(async () => undefined, { readOnly: true })).rejects.toThrow(
        InvalidArgumentError,
      );
    });
  });

  it('refuses an undefined parameter without harm to the transaction', async () => {
    await db.transaction(async () => {
      await expect(db.query('select $1::text', [undefined])).rejects.toMatchObject({ path: 'params[0]' });
      await insert('a');
    });
    expect(await names()).toEqual(['a']);
  });

  it('serves 100 concurrent transactions on a pool of 5', async () => {
    await Promise.all(
      Array.from({ length: 100 }, (_, i) =>
        db
          .transaction(async () => {
            await insert(`${i}`);
            await sleep(Math.random() * 3);
            if (i % 10 === 0) throw new Error('no');
            await db.query('update item set name = name || $1 where name = $2', ['!', `${i}`]);
          })
          .catch(() => undefined),
      ),
    );
    const expected = Array.from({ length: 100 }, (_, i) => i)
      .filter((i) => i % 10 !== 0)
      .map((i) => `${i}!`);
    expect((await names()).toSorted()).toEqual(expected.toSorted());
    expect(db.poolFigures).toMatchObject({ max: 5, busy: 0 });
  });

  it('leaves exactly what a model says after any nesting of work, failures and parallel branches', async () => {
    type Step = { kind: 'insert' } | { kind: 'nest'; steps: Step[]; fails: boolean; parallel: boolean };
    const { step } = fc.letrec<{ step: Step }>((tie) => ({
      step: fc.oneof(
        { maxDepth: 3, withCrossShrink: true },
        fc.constant<Step>({ kind: 'insert' }),
        fc.record<Step & { kind: 'nest' }>({
          kind: fc.constant('nest' as const),
          steps: fc.array(tie('step'), { maxLength: 4 }),
          fails: fc.boolean(),
          parallel: fc.boolean(),
        }),
      ),
    }));
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 5 }), fc.boolean(), async (steps, fails) => {
        await admin`truncate item`;
        let next = 0;
        /** The names that remain when all goes well above. */
        const run = async (branch: Step[], branchFails: boolean, parallel: boolean): Promise<string[]> => {
          const kept: string[] = [];
          const one = async (current: Step): Promise<void> => {
            if (current.kind === 'insert') {
              const name = String(next++);
              await insert(name);
              kept.push(name);
              return;
            }
            const inner = db.transaction(() => run(current.steps, current.fails, current.parallel));
            kept.push(...(await inner.catch(() => [])));
          };
          if (parallel) await Promise.all(branch.map(one));
          else for (const current of branch) await one(current);
          if (branchFails) throw new Error('asked to fail');
          return kept;
        };
        const expected = await db.transaction(() => run(steps, fails, false)).catch((): string[] => []);
        expect((await names()).toSorted()).toEqual(expected.toSorted());
      }),
      { numRuns: 40 },
    );
  });
});

describe('ambient transactions', () => {
  it('are those of one Postgres only', async () => {
    const [one, two] = [new Postgres(database.url), new Postgres(database.url)];
    await one
      .transaction(async () => {
        expect(two.currentTransaction).toBeUndefined();
        await two.query(`insert into item (name) values ('outside')`);
        await two.transaction(async (inner) => {
          expect(one.currentTransaction).not.toBe(inner);
        });
        throw new Error('no');
      })
      .catch(() => undefined);
    expect(await names()).toEqual(['outside']);
    await Promise.all([one.close(), two.close()]);
  });
});

describe('joinTransaction', () => {
  let db: Postgres;

  beforeEach(() => {
    db = new Postgres(database.url);
  });

  afterEach(() => db.close());

  /** A transaction that somebody else has opened. */
  async function foreign<T>(
    work: (connection: {
      query(text: string, params: readonly unknown[]): Promise<Record<string, unknown>[]>;
    }) => Promise<T>,
  ): Promise<T> {
    const reserved = await admin.reserve();
    try {
      return await work({ query: (text, params) => reserved.unsafe(text, params as string[]) });
    } finally {
      reserved.release();
    }
  }

  it('lets everything inside use the given connection, and leaves the commit to its owner', async () => {
    const afterCommit = jest.fn<() => void>();
    await foreign(async (connection) => {
      await connection.query('begin', []);
      const joined = await db.joinTransaction(connection, async (transaction) => {
        transaction.afterCommit(afterCommit);
        await db.query('insert into item (name) values ($1)', ['a']);
        await db
          .transaction(async () => {
            await db.query('insert into item (name) values ($1)', ['b']);
            throw new Error('no');
          })
          .catch(() => undefined);
        return 'result';
      });
      expect(joined.result).toBe('result');
      expect(await db.query('select name from item')).toEqual([]);
      await connection.query('commit', []);
      expect(afterCommit).not.toHaveBeenCalled();
      await joined.runAfterCommit();
      expect(afterCommit).toHaveBeenCalledTimes(1);
    });
    expect(await names()).toEqual(['a']);
  });

  it('rejects when a statement failed, so that the owner rolls back, and refuses what comes late', async () => {
    await foreign(async (connection) => {
      await connection.query('begin', []);
      let leaked!: Transaction;
      const joining = db.joinTransaction(connection, async (transaction) => {
        leaked = transaction;
        await db.query('select 1/0').catch(() => undefined);
      });
      await expect(joining).rejects.toThrow(TransactionClosedError);
      await connection.query('rollback', []);
      await expect(leaked.query('select 1')).rejects.toThrow(TransactionClosedError);
    });
  });
});
