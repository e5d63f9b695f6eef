import { Postgres } from '@nestbox/postgres';
import { TypeOrmTransactions } from '@nestbox/typeorm';
import { DataSource } from 'typeorm';
import { ACCOUNT, ORDER, accountOf, newAccounts, newOrder } from './entities.mjs';

// Both sides work on the same tables, with a pool of ten connections, the default of both, and do the same inside of
// their transactions.

/** Makes the tables. */
export async function preparePlain(url) {
  const dataSource = await openDataSource(url);
  await dataSource.synchronize();
  await dataSource.getRepository(ACCOUNT).save(newAccounts());
  await dataSource.destroy();
}

/** `TypeOrmTransactions.run`, and another `run` inside of it. */
export async function openRun(url) {
  const dataSource = await openDataSource(url);
  const postgres = new Postgres({ url });
  const transactions = new TypeOrmTransactions({ dataSource, postgres });
  await transactions.init();
  return {
    name: 'nestbox',
    url,
    operations: operationsOf({
      transaction: (fn) => transactions.run(fn),
      nested: (_, fn) => transactions.run(fn),
    }),
    async close() {
      transactions.close();
      await dataSource.destroy();
      await postgres.close();
    },
  };
}

/** `dataSource.transaction`, and `manager.transaction` inside of it. */
export async function openTypeOrm(url) {
  const dataSource = await openDataSource(url);
  return {
    name: 'typeorm',
    url,
    operations: operationsOf({
      transaction: (fn) => dataSource.transaction(fn),
      nested: (manager, fn) => manager.transaction(fn),
    }),
    close: () => dataSource.destroy(),
  };
}

export async function openDataSource(url, entities = [ORDER, ACCOUNT]) {
  const dataSource = new DataSource({ type: 'postgres', url, entities });
  await dataSource.initialize();
  return dataSource;
}

function operationsOf({ transaction, nested }) {
  return {
    insert: (i) => transaction((manager) => manager.save(ORDER, newOrder(i))),
    change: (i) =>
      transaction(async (manager) => {
        const account = await manager.findOneOrFail(ACCOUNT, {
          where: { id: accountOf(i) },
          lock: { mode: 'pessimistic_write' },
        });
        account.balance++;
        await manager.save(ACCOUNT, account);
      }),
    nest: (i) =>
      transaction(async (manager) => {
        for (let n = 0; n < 3; n++) await nested(manager, (inner) => inner.save(ORDER, newOrder(i + n)));
      }),
  };
}
