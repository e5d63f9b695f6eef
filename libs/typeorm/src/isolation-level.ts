import { InvalidArgumentError } from '@nestbox/core';
import type { TransactionOptions } from '@nestbox/postgres';

type Level = NonNullable<TransactionOptions['isolationLevel']>;

/** As Nestbox or as TypeORM writes it. PostgreSQL treats `READ UNCOMMITTED` as `READ COMMITTED`. */
export type TypeOrmIsolationLevel = Level | Uppercase<Level> | 'READ UNCOMMITTED';

const LEVELS: ReadonlyMap<string, Level> = new Map([
  ['READ UNCOMMITTED', 'read committed'],
  ['READ COMMITTED', 'read committed'],
  ['REPEATABLE READ', 'repeatable read'],
  ['SERIALIZABLE', 'serializable'],
]);

/** @throws InvalidArgumentError */
export function isolationLevelOf(level: string): Level {
  const known = LEVELS.get(level.toUpperCase());
  if (known !== undefined) return known;
  throw new InvalidArgumentError(
    'options.isolationLevel',
    `'${level}' must be one of ${[...LEVELS.keys()].map((name) => `'${name}'`).join(', ')}.`,
  );
}
