import { jest } from '@jest/globals';
import { Postgres, TransactionClosedError, type Transaction } from '@nestbox/postgres';
import { ItemDatabase } from './item-database.js';

let database: ItemDatabase;

beforeAll(async () => {
  database = await ItemDatabase.create();
});

beforeEach(() => database.empty());

afterAll(() => database.drop());

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
    const reserved = await database.admin.reserve();
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
    expect(await database.names()).toEqual(['a']);
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
