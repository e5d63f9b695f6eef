import { UnsupportedOperationError } from '@nestbox/core';
import type { MigrationReport } from '@nestbox/postgres';
import type { EventStoreBackend } from '../event-store.backend.js';
import { operation } from '../support/operation.js';

/** The schema in the database. */
export class StoreSchema {
  /** @internal Made by `EventStore`. */
  constructor(private readonly backend: EventStoreBackend) {}

  /**
   * Creates or upgrades it. A dry run only says what would be done.
   *
   * @throws the errors of `Migrations`; UnsupportedOperationError where there is no schema
   */
  migrate({ dryRun = false }: { dryRun?: boolean } = {}): Promise<MigrationReport> {
    return operation('migrate the schema', async () => this.migrations.run({ dryRun }));
  }

  /** The statements that create it. @throws UnsupportedOperationError where there is no schema */
  sql(): Promise<string> {
    return operation('print the schema', async () => this.migrations.sql());
  }

  /** Writes {@link sql} to the standard output. */
  async print(): Promise<void> {
    process.stdout.write(`${await this.sql()}\n`);
  }

  private get migrations(): NonNullable<EventStoreBackend['migrations']> {
    const { migrations, kind } = this.backend;
    if (migrations !== undefined) return migrations;
    throw new UnsupportedOperationError('A schema', `the ${kind} backend`, 'Only PostgreSQL has one.');
  }
}
