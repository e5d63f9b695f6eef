import { AsyncLocalStorage } from 'node:async_hooks';
import type { Transaction } from '@nestbox/postgres';
import type { DataSource } from 'typeorm';
import type { EntityManagerSession } from './entity-manager-session.js';

/** What goes on in one data source. */
export interface DataSourceRuns {
  /** By the outermost transaction. */
  readonly sessions: WeakMap<Transaction, EntityManagerSession>;
  /** That of the run around. */
  readonly current: AsyncLocalStorage<EntityManagerSession>;
}

const all = new WeakMap<DataSource, DataSourceRuns>();

/**
 * The runs of a data source, whoever has begun them. Several `TypeOrmTransactions`, with other isolation levels for
 * example, may share one, and a repository does not know by which of them the run around it was begun.
 */
export function runsOf(dataSource: DataSource): DataSourceRuns {
  let runs = all.get(dataSource);
  if (runs === undefined) {
    runs = { sessions: new WeakMap(), current: new AsyncLocalStorage() };
    all.set(dataSource, runs);
  }
  return runs;
}
