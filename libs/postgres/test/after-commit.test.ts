import { setTimeout as sleep } from 'node:timers/promises';
import { jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import type { Postgres } from '@nestbox/postgres';
import { ItemDatabase, KINDS, openClient, type Client } from './item-database.js';

let database: ItemDatabase;

beforeAll(async () => {
  database = await ItemDatabase.create();
});

beforeEach(() => database.empty());

afterAll(() => database.drop());

describe.each(KINDS)('afterCommit, client %s', (kind) => {
  let client: Client;
  let db: Postgres;
  let insert: Client['insert'];

  beforeEach(() => {
    client = openClient(kind, database.url);
    ({ db, insert } = client);
  });

  afterEach(() => client.close());

  it('runs after-commit work in the order of registration, after the outermost commit, outside of it', async () => {
    const seen: unknown[] = [];
    await db.transaction(async (transaction) => {
      transaction.afterCommit(async () => {
        await sleep(5);
        seen.push(['first', db.currentTransaction, await database.names()]);
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
    expect(await database.names()).toEqual(['later']);
  });
});
