import postgres from 'postgres';
import { Postgres } from '@nestbox/postgres';
import { testDatabase, type TestDatabase } from '@nestbox/testing';

/** A database with a table `item`, for tests of transactions. */
export class ItemDatabase {
  private constructor(
    readonly database: TestDatabase,
    /** Outside of what is tested. */
    readonly admin: postgres.Sql,
  ) {}

  static async create(): Promise<ItemDatabase> {
    const database = await testDatabase();
    const admin = postgres(database.url, { max: 1, onnotice: () => undefined });
    await admin`create table item (id serial, name text not null, unique (name) deferrable initially immediate)`;
    return new ItemDatabase(database, admin);
  }

  get url(): string {
    return this.database.url;
  }

  async empty(): Promise<void> {
    await this.admin`truncate item`;
  }

  /** What has been committed, in the order of insertion. */
  async names(): Promise<string[]> {
    const rows = await this.admin<{ name: string }[]>`select name from item order by id`;
    return rows.map(({ name }) => name);
  }

  /** Ends a backend, as an operator or a crash does. */
  async kill(pid: unknown): Promise<void> {
    await this.admin`select pg_terminate_backend(${Number(pid)}, 5000)`;
  }

  async drop(): Promise<void> {
    await this.admin.end({ timeout: 5 });
    await this.database.drop();
  }
}

export interface Client {
  db: Postgres;
  insert(name: string): Promise<unknown>;
  close(): Promise<void>;
}

/** Both ways of getting connections have to keep all promises. */
export const KINDS = ['owned', 'shared'] as const;

export function openClient(kind: (typeof KINDS)[number], url: string): Client {
  const shared = kind === 'shared' ? postgres(url, { max: 5, onnotice: () => undefined }) : undefined;
  const db = new Postgres(shared === undefined ? { url, options: { max: 5 } } : { client: shared });
  return {
    db,
    insert: (name) => db.query('insert into item (name) values ($1)', [name]),
    close: async () => {
      await db.close();
      await shared?.end({ timeout: 1 });
    },
  };
}
