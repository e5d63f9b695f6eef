import { setTimeout as sleep } from 'node:timers/promises';
import { jest } from '@jest/globals';
import {
  CommitOutcomeUnknownError,
  TransactionClosedError,
  type Postgres,
  type Transaction,
} from '@nestbox/postgres';
import { eventually } from '@nestbox/testing';
import { ItemDatabase, KINDS, openClient, type Client } from './item-database.js';

let database: ItemDatabase;

beforeAll(async () => {
  database = await ItemDatabase.create();
});

beforeEach(() => database.empty());

afterAll(() => database.drop());

describe.each(KINDS)('transactions that are late or lose their connection, client %s', (kind) => {
  let client: Client;
  let db: Postgres;
  let insert: Client['insert'];

  beforeEach(() => {
    client = openClient(kind, database.url);
    ({ db, insert } = client);
  });

  afterEach(() => client.close());

  async function backendOf(transaction: Transaction): Promise<unknown> {
    const [row] = await transaction.query('select pg_backend_pid() as pid');
    return row!['pid'];
  }

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
    expect(await database.names()).toEqual([]);
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
    expect(await database.names()).toEqual(['a']);
  });

  it('gives one error, lands nothing and leaves the pool usable when the backend is killed with queries queued', async () => {
    const running = db.transaction(async (transaction) => {
      await insert('before');
      const pid = await backendOf(transaction);
      const queued = [
        transaction.query('select pg_sleep(10)'),
        ...Array.from({ length: 20 }, (_, i) => insert(`queued ${i}`)),
      ];
      await Promise.all([database.kill(pid), ...queued]);
    });
    const error = await running.catch((reason: unknown) => reason);
    // By shape: an error of Node's own is no instance of the `Error` that a test has.
    expect(error).toMatchObject({ message: expect.any(String) });
    const others = async (): Promise<unknown[]> =>
      (await Promise.all(Array.from({ length: 20 }, () => db.query('select 1 as one')))).flat();
    // postgres.js reports the end of a lost connection a second time, to its next user.
    expect(kind === 'owned' ? await others() : await eventually(others)).toHaveLength(20);
    expect(await database.names()).toEqual([]);
  });

  it('lands nothing when the function swallows the lost connection and goes on', async () => {
    const running = db.transaction(async (transaction) => {
      const pid = await backendOf(transaction);
      const sleeping = transaction.query('select pg_sleep(10)').catch(() => undefined);
      await database.kill(pid);
      await sleeping;
      for (let i = 0; i < 20; i++) {
        await insert(`late ${i}`).catch(() => undefined);
        await sleep(2);
      }
      return 'fine';
    });
    await expect(running).rejects.toMatchObject({ code: 'TRANSACTION_CLOSED', state: 'lost' });
    expect(await database.names()).toEqual([]);
  });

  it('notices a connection that was lost while no statement was under way', async () => {
    const running = db.transaction(async (transaction) => {
      await insert('a');
      await database.kill(await backendOf(transaction));
      await eventually(async () => {
        await expect(transaction.query('select 1')).rejects.toThrow(/connection/i);
      });
      await expect(transaction.savepoint(() => insert('b'))).rejects.toMatchObject({ state: 'lost' });
    });
    await expect(running).rejects.toMatchObject({ code: 'TRANSACTION_CLOSED', state: 'lost' });
    expect(await database.names()).toEqual([]);
    expect(await db.query('select 1 as one')).toEqual([{ one: 1 }]);
  });

  it('says that the outcome is unknown when the connection is lost during COMMIT', async () => {
    // A deferred trigger makes COMMIT take its time.
    await database.admin.unsafe(`
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
      const [row] = await database.admin`select query from pg_stat_activity where pid = ${Number(pid)}`;
      return row!['query'] === 'commit';
    });
    await database.kill(pid);
    expect(await outcome).toBeInstanceOf(CommitOutcomeUnknownError);
    expect(await outcome).toMatchObject({ code: 'COMMIT_OUTCOME_UNKNOWN', cause: expect.any(Error) });
    expect(afterCommit).not.toHaveBeenCalled();
    await database.admin.unsafe('drop table slow; drop function wait');
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
    expect(await database.names()).toEqual([]);
    expect(await db.query('select 1 as one')).toEqual([{ one: 1 }]);
  });
});
