import { setTimeout as sleep } from 'node:timers/promises';
import { InvalidArgumentError } from '@nestbox/core';
import { Postgres, TransactionClosedError } from '@nestbox/postgres';
import { eventually } from '@nestbox/testing';
import fc from 'fast-check';
import { ItemDatabase, KINDS, openClient, type Client } from './item-database.js';

let database: ItemDatabase;

beforeAll(async () => {
  database = await ItemDatabase.create();
});

beforeEach(() => database.empty());

afterAll(() => database.drop());

describe.each(KINDS)('transactions, client %s', (kind) => {
  let client: Client;
  let db: Postgres;
  let insert: Client['insert'];

  beforeEach(() => {
    client = openClient(kind, database.url);
    ({ db, insert } = client);
  });

  afterEach(() => client.close());

  it('commits what was done inside, and resolves to what the function returned', async () => {
    const result = await db.transaction(async () => {
      await insert('a');
      expect(await database.names()).toEqual([]);
      return 'done';
    });
    expect(result).toBe('done');
    expect(await database.names()).toEqual(['a']);
  });

  it('rolls back and rejects with the very error that the function threw', async () => {
    const problem = new Error('no');
    const running = db.transaction(async () => {
      await insert('a');
      throw problem;
    });
    await expect(running).rejects.toBe(problem);
    expect(await database.names()).toEqual([]);
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
    expect(await database.names()).toEqual(['a', 'c', 'd']);
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
    expect(await database.names()).toEqual(['0a', '0b', '2a', '2b', '4a', '4b', '6a', '6b', '8a', '8b']);
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
    expect(await database.names()).toEqual(['beside']);
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
    expect(await database.names()).toEqual([]);
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
    expect(await database.names()).toEqual([]);
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
    expect(await database.names()).toEqual([]);
  });

  it('waits for statements that were not awaited before it commits', async () => {
    await db.transaction(async () => {
      void db.query('select pg_sleep(0.05)');
      void insert('a');
    });
    expect(await database.names()).toEqual(['a']);
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
    expect(await database.names()).toEqual([]);
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
    expect(await database.names()).toEqual(['a']);
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
    expect((await database.names()).toSorted()).toEqual(expected.toSorted());
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
        await database.empty();
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
        expect((await database.names()).toSorted()).toEqual(expected.toSorted());
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
    expect(await database.names()).toEqual(['outside']);
    await Promise.all([one.close(), two.close()]);
  });
});
