import type { DataSource, EntityManager, QueryRunner, ReplicationMode } from 'typeorm';
import { type EntityManagerSession, type RunNested, nestedTransaction } from './entity-manager-session.js';

interface Surroundings {
  /** The session of the run around; undefined outside of any transaction. @throws RepositoryOutsideRunError */
  session: () => EntityManagerSession | undefined;
  runNested: RunNested;
}

/**
 * Lets a data source's own repositories and query builders work on the connection of the run in which they are used.
 * They all ask `createQueryRunner` for a connection, and outside of runs get what they always got.
 *
 * @returns what undoes it
 */
export function guardDataSource(dataSource: DataSource, { session, runNested }: Surroundings): () => void {
  const { manager } = dataSource;
  const before = {
    createQueryRunner: dataSource.createQueryRunner.bind(dataSource),
    transaction: manager.transaction.bind(manager),
  };
  const nested = nestedTransaction(runNested);
  const createQueryRunner = (mode?: ReplicationMode): QueryRunner =>
    session()?.runner ?? before.createQueryRunner(mode);
  const transaction = (...args: Parameters<EntityManager['transaction']>): Promise<unknown> =>
    session() === undefined ? before.transaction(...args) : nested(...args);
  Object.assign(dataSource, { createQueryRunner });
  Object.assign(manager, { transaction });

  return () => {
    // Somebody else may have put theirs on top of ours, which then stays below it and finds no transaction.
    if (Reflect.get(dataSource, 'createQueryRunner') === createQueryRunner) {
      Object.assign(dataSource, { createQueryRunner: before.createQueryRunner });
    }
    if (Reflect.get(manager, 'transaction') === transaction) {
      Object.assign(manager, { transaction: before.transaction });
    }
  };
}
