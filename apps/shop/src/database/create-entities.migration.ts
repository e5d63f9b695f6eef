import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Creates the tables of the shop's entities. */
export class CreateEntities1763700000000 implements MigrationInterface {
  readonly name = 'CreateEntities1763700000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query('create schema if not exists shop');
    await runner.query(`
      create table shop.product (
        id text collate "C" not null,
        name text not null,
        description text,
        category text,
        tags text[],
        price integer not null,
        stock integer not null,
        version integer not null,
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now(),
        deleted_at timestamptz,
        constraint product_pkey primary key (id),
        constraint product_price_check check (price >= 0),
        constraint product_stock_check check (stock >= 0)
      )`);
    await runner.query(`
      create table shop.customer (
        id text collate "C" not null,
        name text not null,
        email text not null,
        version integer not null,
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now(),
        constraint customer_pkey primary key (id),
        constraint customer_email_key unique (email)
      )`);
  }

  /** Deletes the customers and the products with their tables; the schema stays where others have something in it. */
  async down(runner: QueryRunner): Promise<void> {
    await runner.query('drop table shop.customer');
    await runner.query('drop table shop.product');
    await runner.query(`
      do $$
      begin
        drop schema shop;
      exception
        when dependent_objects_still_exist then null;
      end
      $$`);
  }
}
