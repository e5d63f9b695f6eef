import { Postgres } from '@nestbox/postgres';
import { type TestDatabase, testDatabase } from '@nestbox/testing';
import { TypeOrmTransactions } from '@nestbox/typeorm';
import postgresJs from 'postgres';
import type { DataSource, Repository } from 'typeorm';
import { CUSTOMER, TABLES, TYPEORMS, openDataSource, type Customer } from './data-sources.js';

const CONNECTIONS = ['its own connections', 'a client that was passed in'] as const;

/** Both TypeORMs, each with both kinds of Postgres. */
export const CASES = TYPEORMS.flatMap(([name, typeorm]) =>
  CONNECTIONS.map((connections) => ({ name, typeorm, connections })),
);

/** What is tested, and a client that sees only what is committed. */
export interface Subject {
  dataSource: DataSource;
  client: postgresJs.Sql;
  postgres: Postgres;
  transactions: TypeOrmTransactions;
  customers: Repository<Customer>;
  empty(): Promise<void>;
  close(): Promise<void>;
}

export async function createTables(): Promise<TestDatabase> {
  const database = await testDatabase();
  const sql = postgresJs(database.url);
  await sql.unsafe(TABLES);
  await sql.end({ timeout: 5 });
  return database;
}

export async function openSubject(
  typeorm: (typeof CASES)[number]['typeorm'],
  connections: (typeof CONNECTIONS)[number],
  url: string,
): Promise<Subject> {
  const dataSource = await openDataSource(typeorm, url);
  const client = postgresJs(url, { max: 4, onnotice: () => undefined });
  const postgres = new Postgres(connections === 'its own connections' ? { url } : { client });
  const transactions = new TypeOrmTransactions({ dataSource, postgres });
  await transactions.init();
  return {
    dataSource,
    client,
    postgres,
    transactions,
    customers: dataSource.getRepository<Customer>(CUSTOMER),
    async empty() {
      await dataSource.query('truncate customer, invoice');
    },
    async close() {
      transactions.close();
      await postgres.close();
      await dataSource.destroy();
      await client.end({ timeout: 5 });
    },
  };
}
