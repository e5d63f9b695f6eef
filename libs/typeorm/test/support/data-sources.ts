import type { DataSource } from 'typeorm';
import * as current from 'typeorm';
import * as previous from 'typeorm03';

/** A row with one column of each kind that drivers read in different ways. */
export interface Customer {
  id: string;
  name: string;
  credit?: string | null;
  visits?: number;
  born?: string | null;
  seen?: Date | null;
  local?: Date | null;
  tags?: string[] | null;
  address?: object | null;
  list?: unknown[] | null;
  photo?: Buffer | null;
  active?: boolean;
  score?: string | null;
  version?: number;
}

/** The tables that {@link openDataSource} expects. */
export const TABLES = `
  create table customer (
    id text primary key, name text not null, credit bigint, visits int not null default 0, born date, seen timestamptz,
    local timestamp, tags text[], address jsonb, list jsonb, photo bytea, active boolean not null default true,
    score numeric(12, 4), version int not null default 1);
  create table invoice (id text primary key, customer_id text not null references customer deferrable initially deferred)`;

type TypeOrm = typeof current;

/** Both have the surface that the tests use. */
export const TYPEORMS: readonly (readonly [string, TypeOrm])[] = [
  ['TypeORM 1.1', current],
  ['TypeORM 0.3', previous as object as TypeOrm],
];

export const CUSTOMER = 'Customer';
export const INVOICE = 'Invoice';

/** A data source with the entities {@link CUSTOMER} and {@link INVOICE}. */
export async function openDataSource(
  { DataSource: Source, EntitySchema }: TypeOrm,
  url: string,
  options: object = {},
): Promise<DataSource> {
  const source = new Source({
    type: 'postgres',
    url,
    entities: [
      new EntitySchema<Customer>({
        name: CUSTOMER,
        tableName: 'customer',
        columns: {
          id: { type: 'text', primary: true },
          name: { type: 'text' },
          credit: { type: 'bigint', nullable: true },
          visits: { type: 'int', default: 0 },
          born: { type: 'date', nullable: true },
          seen: { type: 'timestamptz', nullable: true },
          local: { type: 'timestamp', nullable: true },
          tags: { type: 'text', array: true, nullable: true },
          address: { type: 'jsonb', nullable: true },
          list: { type: 'jsonb', nullable: true },
          photo: { type: 'bytea', nullable: true },
          active: { type: 'boolean', default: true },
          score: { type: 'numeric', precision: 12, scale: 4, nullable: true },
          version: { type: 'int', version: true },
        },
      }),
      new EntitySchema<{ id: string; customerId: string }>({
        name: INVOICE,
        tableName: 'invoice',
        columns: {
          id: { type: 'text', primary: true },
          customerId: { type: 'text', name: 'customer_id' },
        },
      }),
    ],
    ...options,
  });
  return source.initialize();
}
