import { Socket } from 'node:net';
import { jest } from '@jest/globals';
import { Postgres, TransactionClosedError, type Transaction } from '@nestbox/postgres';
import fc from 'fast-check';
import { ItemDatabase, KINDS, openClient, type Client } from './item-database.js';

let database: ItemDatabase;

beforeAll(async () => {
  database = await ItemDatabase.create();
});

beforeEach(() => database.empty());

afterAll(() => database.drop());

const INSERT = 'insert into item (name) values ($1)';

describe.each(KINDS)('savepoints, client %s', (kind) => {
  let client: Client;
  let db: Postgres;

  beforeEach(() => {
    client = openClient(kind, database.url);
    ({ db } = client);
  });

  afterEach(() => client.close());

  it('keep and drop exactly what belongs to them, however they are nested', async () => {
    await fc.assert(
      fc.asyncProperty(STEPS, async (steps) => {
        await database.empty();
        const expected: string[] = [];
        await db.transaction((transaction) => run(steps, transaction, expected));
        expect(await database.names()).toEqual(expected);
      }),
      { numRuns: 60 },
    );
  });

  it('give back at once what was locked in one that is rolled back', async () => {
    await db.transaction(() => client.insert('a'));
    await db.transaction(async (transaction) => {
      const failing = transaction.savepoint(async (inner) => {
        await inner.query('select from item where name = $1 for update', ['a']);
        throw new Error('no');
      });
      await expect(failing).rejects.toThrow('no');
      await database.admin`select from item for update nowait`;
    });
  });

  it('go on after one in which a statement failed that was the first of the transaction', async () => {
    await db.transaction(async (transaction) => {
      const failing = transaction.savepoint((inner) => inner.query('select 1 / $1::integer', [0]));
      await expect(failing).rejects.toMatchObject({ code: '22012' });
      await transaction.savepoint((inner) => inner.query(INSERT, ['a']));
    });
    expect(await database.names()).toEqual(['a']);
  });

  it('are not begun in a transaction that is doomed', async () => {
    let isRun = false;
    const running = db.transaction(async (transaction) => {
      await transaction.query('select 1 / $1::integer', [0]).catch(() => undefined);
      await transaction.savepoint(async () => {
        isRun = true;
      });
    });
    await expect(running).rejects.toThrow(TransactionClosedError);
    expect(isRun).toBe(false);
  });
});

describe('the round trips of savepoints', () => {
  it('are those of the statements in them', async () => {
    const db = new Postgres({ url: database.url, options: { max: 1 } });
    const writes = jest.spyOn(Socket.prototype, 'write');
    try {
      const work = (): Promise<void> =>
        db.transaction(async (transaction) => {
          for (const name of ['a', 'b', 'c']) {
            await transaction.savepoint((inner) =>
              inner.savepoint(async () => void (await inner.query(INSERT, [name]))),
            );
          }
          await transaction.savepoint(async () => undefined);
        });
      // Prepares the statement.
      await work();
      await database.empty();
      writes.mockClear();
      await work();
      // Three inserts, and the COMMIT.
      expect(writes).toHaveBeenCalledTimes(4);
      expect(await database.names()).toEqual(['a', 'b', 'c']);
    } finally {
      writes.mockRestore();
      await db.close();
    }
  });

  it('are left to the owner of the connection, with nothing open in the end', async () => {
    const db = new Postgres(database.url);
    const sent: string[] = [];
    try {
      const connection = {
        async query(text: string) {
          sent.push(text);
          return [];
        },
      };
      await db.joinTransaction(connection, async (transaction) => {
        await transaction.savepoint(async () => undefined);
        await transaction.savepoint((inner) => inner.query('select 1'));
        await transaction.savepoint((inner) => inner.query('select 2'));
      });
    } finally {
      await db.close();
    }
    expect(sent).toEqual([
      'savepoint nestbox_2',
      'select 1',
      'release savepoint nestbox_2; savepoint nestbox_3',
      'select 2',
      'release savepoint nestbox_3',
    ]);
  });
});

type Step =
  { kind: 'insert' | 'insert as text' | 'insert two' } | { kind: 'savepoint'; fails: boolean; steps: Step[] };

/** What a transaction does, savepoints in savepoints included. */
const { STEPS } = fc.letrec<{ STEP: Step; STEPS: Step[] }>((tie) => ({
  STEP: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.record({ kind: fc.constantFrom('insert' as const, 'insert as text' as const, 'insert two' as const) }),
    fc.record({ kind: fc.constant('savepoint' as const), fails: fc.boolean(), steps: tie('STEPS') }),
  ),
  STEPS: fc.array(tie('STEP'), { maxLength: 4 }),
}));

/** @param kept the names that are there if nothing around fails */
async function run(steps: readonly Step[], transaction: Transaction, kept: string[]): Promise<void> {
  for (const step of steps) {
    const name = `${(named += 1)}`;
    if (step.kind === 'savepoint') {
      const inner: string[] = [];
      const running = transaction.savepoint(async (savepoint) => {
        await run(step.steps, savepoint, inner);
        if (step.fails) throw new Error('as planned');
      });
      if (step.fails) await expect(running).rejects.toThrow('as planned');
      else kept.push(...(await running.then(() => inner)));
    } else if (step.kind === 'insert two') {
      await transaction.queryAll([name, `${name}!`].map((param) => ({ text: INSERT, params: [param] })));
      kept.push(name, `${name}!`);
    } else {
      if (step.kind === 'insert') await transaction.query(INSERT, [name]);
      else await transaction.onConnection((connection) => connection.queryText!(INSERT, [name]));
      kept.push(name);
    }
  }
}

let named = 0;
