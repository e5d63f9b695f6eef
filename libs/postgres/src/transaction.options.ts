import { InvalidArgumentError } from '@nestbox/core';

/** How a transaction is begun. */
export interface TransactionOptions {
  /** Default: the database's, which is `read committed` unless configured otherwise. */
  isolationLevel?: 'read committed' | 'repeatable read' | 'serializable';
  /** Default: the database's, which is false unless configured otherwise. */
  readOnly?: boolean;
}

const ISOLATION_LEVELS: ReadonlySet<string> = new Set(['read committed', 'repeatable read', 'serializable']);

/** What follows BEGIN; empty for the defaults. */
export function beginModes({ isolationLevel, readOnly }: TransactionOptions): string {
  const modes: string[] = [];
  if (isolationLevel !== undefined) {
    if (!ISOLATION_LEVELS.has(isolationLevel)) {
      throw new InvalidArgumentError(
        'options.isolationLevel',
        `'${isolationLevel}' must be one of ${[...ISOLATION_LEVELS].map((level) => `'${level}'`).join(', ')}.`,
      );
    }
    modes.push(`isolation level ${isolationLevel}`);
  }
  if (readOnly !== undefined) modes.push(readOnly ? 'read only' : 'read write');
  return modes.join(' ');
}
