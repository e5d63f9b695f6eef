import { InvalidArgumentError } from '@nestbox/core';
import { TransactionClosedError, type Postgres } from '@nestbox/postgres';
import { ItemDatabase, KINDS, openClient, type Client } from './item-database.js';

let database: ItemDatabase;

beforeAll(async () => {
  database = await ItemDatabase.create();
});

beforeEach(() => database.empty());

afterAll(() => database.drop());

describe.each(KINDS)('statements of a transaction that are sent together, client %s', (kind) => {
  let client: Client;
  let db: Postgres;

  beforeEach(() => {
    client = openClient(kind, database.url);
    ({ db } = client);
  });

  afterEach(() => client.close());

  const add = (name: string) => ({
    text: 'insert into item (name) values ($1) returning name',
    params: [name],
  });

  it('gives the rows of each, in order, and lets each see what those before it did', async () => {
    const results = await db.transaction((transaction) =>
      transaction.queryAll([
        add('a'),
        { text: 'select count(*)::integer as count from item', params: [] },
        add('b'),
        { text: 'select 1 as one where false', params: [] },
      ]),
    );
    expect(results.map((rows) => [...rows])).toEqual([[{ name: 'a' }], [{ count: 1 }], [{ name: 'b' }], []]);
    expect(await database.names()).toEqual(['a', 'b']);
  });

  it('rejects with the error of the first that fails, and rolls all of them back', async () => {
    const running = db.transaction(async (transaction) => {
      await transaction.queryAll([add('a')]);
      await transaction.queryAll([add('b'), { text: 'select 1 / $1::integer', params: [0] }, add('c')]);
    });
    await expect(running).rejects.toMatchObject({ code: '22012' });
    expect(await database.names()).toEqual([]);
  });

  it('dooms the transaction when one fails, also when the error is caught', async () => {
    const running = db.transaction(async (transaction) => {
      await transaction.queryAll([{ text: 'select 1 / $1::integer', params: [0] }]).catch(() => undefined);
      await transaction.query('insert into item (name) values ($1)', ['late']);
    });
    await expect(running).rejects.toThrow(TransactionClosedError);
    expect(await database.names()).toEqual([]);
  });

  it('rolls back only the savepoint in which one fails', async () => {
    await db.transaction(async (transaction) => {
      await transaction.queryAll([add('a')]);
      await transaction
        .savepoint((inner) => inner.queryAll([add('b'), { text: 'select 1 / $1::integer', params: [0] }]))
        .catch(() => undefined);
      await transaction.queryAll([add('c')]);
    });
    expect(await database.names()).toEqual(['a', 'c']);
  });

  it('refuses undefined before anything is sent', async () => {
    await db.transaction(async (transaction) => {
      const wrong = transaction.queryAll([add('a'), { text: 'select $1', params: [undefined] }]);
      await expect(wrong).rejects.toThrow(InvalidArgumentError);
      expect(() => transaction.queryAtCommit('select $1', [undefined])).toThrow(InvalidArgumentError);
    });
    expect(await database.names()).toEqual([]);
  });

  it('runs what was left for the commit, in order, as the last of the transaction', async () => {
    await db.transaction(async (transaction) => {
      transaction.queryAtCommit('insert into item (name) values ($1)', ['b']);
      transaction.queryAtCommit("update item set name = name || '!'", []);
      await transaction.queryAll([add('a')]);
    });
    expect(await database.names()).toEqual(['a!', 'b!']);
  });

  it('commits what was left for the commit alone', async () => {
    await db.transaction(async (transaction) =>
      transaction.queryAtCommit('insert into item (name) values ($1)', ['only']),
    );
    expect(await database.names()).toEqual(['only']);
  });

  it('rejects with the error of what was left for the commit, commits nothing, and goes on to work', async () => {
    const running = db.transaction(async (transaction) => {
      await transaction.queryAll([add('a')]);
      transaction.queryAtCommit('select 1 / $1::integer', [0]);
    });
    await expect(running).rejects.toMatchObject({ code: '22012' });
    expect(await database.names()).toEqual([]);
    await db.transaction((transaction) => transaction.queryAll([add('b')]));
    expect(await database.names()).toEqual(['b']);
  });

  it('drops what was left for the commit with the rollback of its savepoint, or of all', async () => {
    await db.transaction(async (transaction) => {
      transaction.queryAtCommit('insert into item (name) values ($1)', ['kept']);
      await transaction
        .savepoint(async (inner) => {
          inner.queryAtCommit('insert into item (name) values ($1)', ['dropped']);
          throw new Error('no');
        })
        .catch(() => undefined);
    });
    expect(await database.names()).toEqual(['kept']);
  });

  it('takes nothing more for the commit of a transaction that is over', async () => {
    const leaked = await db.transaction(async (transaction) => ({ transaction }));
    expect(() => leaked.transaction.queryAtCommit('select 1')).toThrow(TransactionClosedError);
  });

  it('opens no transaction for a function that asks for nothing', async () => {
    expect(await db.transaction(async () => 'nothing')).toBe('nothing');
  });
});

describe('a transaction on a connection that has died in the pool', () => {
  it('begins on another one, with what was sent together with BEGIN', async () => {
    const { db, close } = openClient('owned', database.url);
    try {
      const [row] = await db.query('select pg_backend_pid() as pid');
      await database.kill(row!['pid']);
      await db.transaction((transaction) =>
        transaction.queryAll([{ text: 'insert into item (name) values ($1)', params: ['a'] }]),
      );
      expect(await database.names()).toEqual(['a']);
    } finally {
      await close();
    }
  });
});
