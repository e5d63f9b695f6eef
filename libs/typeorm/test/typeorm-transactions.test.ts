import { InvalidArgumentError } from '@nestbox/core';
import { Postgres, TransactionClosedError } from '@nestbox/postgres';
import { type TestDatabase, testDatabase } from '@nestbox/testing';
import { DataSourceMismatchError, RepositoryOutsideRunError, TypeOrmTransactions } from '@nestbox/typeorm';
import type postgresJs from 'postgres';
import type { DataSource, EntityManager, Repository } from 'typeorm';
import { CUSTOMER, INVOICE, TYPEORMS, openDataSource, type Customer } from './support/data-sources.js';
import { CASES, type Subject, createTables, openSubject } from './support/subject.js';

let database: TestDatabase;

beforeAll(async () => {
  database = await createTables();
});
afterAll(() => database.drop());

describe.each(CASES)('$name, with a Postgres of $connections', ({ typeorm, connections }) => {
  let subject: Subject;
  let dataSource: DataSource;
  let client: postgresJs.Sql;
  let postgres: Postgres;
  let transactions: TypeOrmTransactions;
  let customers: Repository<Customer>;

  beforeAll(async () => {
    subject = await openSubject(typeorm, connections, database.url);
    ({ dataSource, client, postgres, transactions, customers } = subject);
  });
  beforeEach(() => subject.empty());
  afterAll(() => subject.close());

  const names = async (): Promise<string[]> =>
    (await customers.find({ order: { id: 'asc' } })).map(({ id }) => id);
  const insert = (id: string): Promise<unknown> =>
    postgres.query('insert into customer (id, name) values ($1, $2)', [id, 'by Nestbox']);
  const save = (manager: EntityManager, id: string): Promise<unknown> =>
    manager.save(CUSTOMER, { id, name: 'by TypeORM' });
  const failure = new Error('no');
  const fail = async (): Promise<never> => {
    throw failure;
  };

  it('commits what both have done, on one connection', async () => {
    const result = await transactions.run(async (manager) => {
      await save(manager, 'a');
      await insert('b');
      expect(await manager.count(CUSTOMER)).toBe(2);
      const [one] = await postgres.query('select pg_backend_pid() as pid, count(*)::int as n from customer');
      const [two] = (await manager.query('select pg_backend_pid() as pid')) as [{ pid: number }];
      expect(one).toEqual({ pid: two.pid, n: 2 });
      expect(await client`select id from customer`).toHaveLength(0);
      return 'result';
    });
    expect(result).toBe('result');
    expect(await names()).toEqual(['a', 'b']);
  });

  it('rolls back what both have done', async () => {
    const done = transactions.run(async (manager) => {
      await save(manager, 'a');
      await insert('b');
      return fail();
    });
    await expect(done).rejects.toBe(failure);
    expect(await names()).toEqual([]);
  });

  it('lets repositories and query builders of the data source join', async () => {
    await transactions.run(async () => {
      await customers.save({ id: 'a', name: 'Ann' });
      await customers.createQueryBuilder().insert().values({ id: 'b', name: 'Bob' }).execute();
      await customers.manager.save(CUSTOMER, { id: 'c', name: 'Cleo' });
      await dataSource.query(`insert into customer (id, name) values ('d', 'Dan')`);
      await dataSource.manager.upsert(CUSTOMER, [{ id: 'a', name: 'Anna' }], ['id']);
      expect(await client`select id from customer`).toHaveLength(0);
      expect(await customers.countBy({ name: 'Anna' })).toBe(1);
    });
    expect(await names()).toEqual(['a', 'b', 'c', 'd']);
  });

  it('gives them back their own connections afterwards', async () => {
    await transactions.run(async (manager) => save(manager, 'a')).catch(() => undefined);
    await customers.save({ id: 'b', name: 'Bob' });
    await dataSource.transaction(async (manager) => save(manager, 'c'));
    expect(await names()).toEqual(['a', 'b', 'c']);
  });

  it('refuses a repository inside Postgres.transaction, and joins with a run around it', async () => {
    await postgres.transaction(async () => {
      await insert('a');
      await expect(customers.save({ id: 'b', name: 'Bob' })).rejects.toThrow(RepositoryOutsideRunError);
      await expect(customers.find()).rejects.toThrow(/TypeOrmTransactions\.run/);
      await expect(dataSource.transaction(async () => undefined)).rejects.toThrow(RepositoryOutsideRunError);
      await transactions.run(async () => customers.save({ id: 'c', name: 'Cleo' }));
      await save(transactions.manager, 'd');
      await transactions
        .run(async () => customers.save({ id: 'e', name: 'E' }).then(fail))
        .catch(() => undefined);
      await expect(customers.find()).rejects.toThrow(RepositoryOutsideRunError);
    });
    expect(await names()).toEqual(['a', 'c', 'd']);
  });

  it('rolls back to a savepoint, with the work for after the commit that belongs to it', async () => {
    const after: string[] = [];
    const later = (what: string): void =>
      postgres.currentTransaction!.afterCommit(() => void after.push(what));
    const attempts: Record<string, (manager: EntityManager) => Promise<unknown>> = {
      run: () => transactions.run(async (manager) => save(manager, 'run').then(() => (later('run'), fail()))),
      manager: (outer) =>
        outer.transaction(async (manager) => save(manager, 'm').then(() => (later('m'), fail()))),
      dataSource: () =>
        dataSource.transaction(async (manager) => save(manager, 's').then(() => (later('s'), fail()))),
      postgres: () => postgres.transaction(async () => insert('p').then(() => (later('p'), fail()))),
    };
    await transactions
      .run(async (manager) => {
        for (const attempt of Object.values(attempts)) {
          await expect(attempt(manager)).rejects.toBe(failure);
        }
        await manager.transaction(async (inner) => {
          await save(inner, 'kept');
          await insert('kept too');
          later('kept');
        });
        await expect(customers.insert({ id: 'kept', name: 'twice' }).catch(fail)).rejects.toBe(failure);
      })
      .catch((error: unknown) => expect(error).toBeInstanceOf(TransactionClosedError));
    expect(await names()).toEqual([]);

    await transactions.run(async (manager) => {
      for (const attempt of Object.values(attempts)) await attempt(manager).catch(() => undefined);
      await manager.transaction(async (inner) => {
        await save(inner, 'kept');
        later('kept');
      });
      await manager
        .transaction(async () => customers.insert({ id: 'kept', name: 'twice' }))
        .catch(() => later('caught'));
    });
    expect(await names()).toEqual(['kept']);
    expect(after).toEqual(['kept', 'caught']);
  });

  it('keeps parallel calls of both apart', async () => {
    await transactions.run(async (manager) => {
      await Promise.all(
        Array.from({ length: 20 }, async (_, i) =>
          i % 3 === 0
            ? save(manager, `t${i}`)
            : i % 3 === 1
              ? insert(`n${i}`)
              : manager.transaction(async (inner) => save(inner, `s${i}`)),
        ),
      );
    });
    expect(await names()).toHaveLength(20);
  });

  it.each(['read committed', 'repeatable read', 'serializable', 'SERIALIZABLE'] as const)(
    'runs %s',
    async (isolationLevel) => {
      const level = await transactions.run(async (manager) => manager.query('show transaction_isolation'), {
        isolationLevel,
      });
      expect(level).toEqual([{ transaction_isolation: isolationLevel.toLowerCase() }]);
    },
  );

  it('runs read only, and refuses options it cannot keep', async () => {
    const write = transactions.run(async (manager) => save(manager, 'a'), { readOnly: true });
    await expect(write).rejects.toMatchObject({ driverError: { code: '25006' } });
    const wrong = transactions.run(async () => 1, { isolationLevel: 'chaos' as 'serializable' });
    await expect(wrong).rejects.toThrow(/options.isolationLevel.*'chaos' must be one of 'READ UNCOMMITTED'/);
    await transactions.run(async (manager) => {
      const nested = transactions.run(async () => 1, { isolationLevel: 'serializable' });
      await expect(nested).rejects.toThrow(InvalidArgumentError);
      await expect(manager.transaction('SERIALIZABLE', async () => 1)).rejects.toThrow(/nested transaction/);
    });
    await expect(transactions.run(undefined as never)).rejects.toThrow(/fn.*must be a function/);
  });

  it('rolls back when the error of a statement is swallowed, and when a deferred constraint fails', async () => {
    const swallowed = transactions.run(async (manager) => {
      await save(manager, 'a');
      await manager.query('select 1/0').catch(() => undefined);
    });
    await expect(swallowed).rejects.toThrow(TransactionClosedError);
    const deferred = transactions.run(async (manager) => {
      await save(manager, 'b');
      await manager.insert(INVOICE, { id: 'i', customerId: 'nobody' });
    });
    await expect(deferred).rejects.toMatchObject({ code: '23503' });
    expect(await names()).toEqual([]);
  });

  it('refuses what comes late, and never lets it land outside', async () => {
    let late!: EntityManager;
    await transactions.run(async (manager) => {
      late = manager;
    });
    await expect(late.save(CUSTOMER, { id: 'late', name: 'Late' })).rejects.toThrow(/released|over/i);
    await expect(late.query(`insert into customer (id, name) values ('late', '')`)).rejects.toThrow(
      /released|over/i,
    );
    expect(await names()).toEqual([]);
  });

  it('refuses to have its transaction begun, ended or streamed by hand', async () => {
    await transactions.run(async (manager) => {
      for (const method of ['startTransaction', 'commitTransaction', 'rollbackTransaction'] as const) {
        await expect(manager.queryRunner![method]()).rejects.toThrow(/manager\.transaction/);
      }
      await expect(manager.queryRunner!.stream('select 1')).rejects.toThrow(/Read in pages/);
      await manager.queryRunner!.release();
      await save(manager, 'a');
    });
    expect(await names()).toEqual(['a']);
  });

  it('rolls back when its connection is killed, and works again afterwards', async () => {
    const killed = transactions.run(async (manager) => {
      await save(manager, 'a');
      const [{ pid }] = (await manager.query('select pg_backend_pid() as pid')) as [{ pid: number }];
      await client`select pg_terminate_backend(${pid})`;
      await save(manager, 'b');
    });
    await expect(killed).rejects.toThrow(/terminat|closed|lost|ECONNRESET/i);
    await transactions.run(async (manager) => save(manager, 'c'));
    expect(await names()).toEqual(['c']);
  });

  it('shares a data source with others of its kind', async () => {
    const strict = new TypeOrmTransactions({ dataSource, postgres, isolationLevel: 'serializable' });
    await strict.init();
    try {
      for (const [outer, inner] of [
        [transactions, strict],
        [strict, transactions],
      ] as const) {
        await outer.run(async (manager) => {
          await customers.save({ id: 'a', name: 'Ann' });
          await inner.run(() => customers.save({ id: 'b', name: 'Bob' }));
          await dataSource.transaction((nested) => save(nested, 'c'));
          expect(await manager.count(CUSTOMER)).toBe(3);
          expect(await client`select id from customer`).toHaveLength(0);
        });
        expect(await names()).toEqual(['a', 'b', 'c']);
        await subject.empty();
      }
      const refused = postgres.transaction(() => customers.count());
      await expect(refused).rejects.toThrow(RepositoryOutsideRunError);
    } finally {
      strict.close();
    }
    expect(await transactions.run(() => customers.count())).toBe(0);
  });

  it('tells subscribers of the start, the commit and the rollback', async () => {
    const seen: string[] = [];
    const events = ['TransactionStart', 'TransactionCommit', 'TransactionRollback'];
    const subscriber = Object.fromEntries(
      events.flatMap((event) =>
        ['before', 'after'].map((when) => [`${when}${event}`, () => void seen.push(`${when}${event}`)]),
      ),
    );
    dataSource.subscribers.push(subscriber);
    try {
      await transactions.run(async (manager) => save(manager, 'a'));
      expect(seen.splice(0)).toEqual([
        'beforeTransactionStart',
        'afterTransactionStart',
        'beforeTransactionCommit',
        'afterTransactionCommit',
      ]);
      await transactions.run(fail).catch(() => undefined);
      expect(seen).toEqual([
        'beforeTransactionStart',
        'afterTransactionStart',
        'beforeTransactionRollback',
        'afterTransactionRollback',
      ]);
    } finally {
      dataSource.subscribers.pop();
    }
  });
});

describe.each(TYPEORMS)('%s', (_, typeorm) => {
  it('refuses a data source of another database, search path or kind, and one that is not initialized', async () => {
    const other = await testDatabase();
    const postgres = new Postgres(database.url);
    const url = new URL(database.url);
    url.searchParams.set('options', '-c search_path=pg_catalog');
    const sources = [await openDataSource(typeorm, other.url), await openDataSource(typeorm, url.href)];
    try {
      const attempt = (dataSource: DataSource): Promise<void> =>
        new TypeOrmTransactions({ dataSource, postgres }).init();
      await expect(attempt(sources[0]!)).rejects.toThrow(/another database .* give both the same URL/);
      await expect(attempt(sources[1]!)).rejects.toThrow(/same search_path/);
      const asleep = new typeorm.DataSource({ type: 'postgres', url: database.url });
      await expect(attempt(asleep)).rejects.toThrow(DataSourceMismatchError);
      await expect(attempt(asleep)).rejects.toThrow(/initialize/);
    } finally {
      for (const source of sources) await source.destroy();
      await postgres.close();
      await other.drop();
    }
    expect(() => new TypeOrmTransactions({ dataSource: {} as DataSource, postgres })).toThrow(
      /options.dataSource: must be a DataSource/,
    );
  });
});
