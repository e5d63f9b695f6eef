import { InvalidArgumentError, assertName } from '@nestbox/core';
import { assertCollectionName } from '../documents/collection-name.js';
import type { Event, ReadEvent, Upcast } from '../event.types.js';
import { checkTypes } from './document-plan.js';
import type { Projection, ProjectionContext } from './projection.types.js';

/** What projections have in common that write tables of their own. */
export interface TableProjectionOptions<E extends Event> {
  name: string;
  /** The types of the events that it gets. Default: all. */
  canHandle?: readonly E['type'][];
  /**
   * The tables that `init` creates as `context.table(name)`, in the store's schema. A rebuild fills new ones, and puts
   * them in the place of the old ones when it has caught up.
   */
  tables?: readonly string[];
  /** Empties what it has made, where that is not in `tables`; a rebuild then begins anew in place. */
  truncate?: (context: ProjectionContext) => Promise<void> | void;
  /** How events look today; after the store's own. */
  upcast?: Upcast;
}

export interface SqlProjectionOptions<E extends Event> extends TableProjectionOptions<E> {
  /** Gets the events of one transaction and one partition, in order. */
  handle: (events: readonly ReadEvent<E>[], context: ProjectionContext) => Promise<void> | void;
  /** Creates what it needs, when the store starts and before a rebuild. Called often, so `create … if not exists`. */
  init?: (context: ProjectionContext) => Promise<void> | void;
}

/**
 * Writes tables by statements that its handler runs, in the transaction of the append or of the checkpoint.
 *
 * @throws InvalidArgumentError
 */
export function sqlProjection<E extends Event>(options: SqlProjectionOptions<E>): Projection<E> {
  const { name, canHandle, tables = [], handle, init, truncate, upcast } = options;
  assertName(name, 'name');
  if (typeof handle !== 'function') throw new InvalidArgumentError('handle', 'must be a function.');
  return {
    name,
    canHandle: checkTypes(canHandle),
    tables: checkTables(tables),
    handle,
    init,
    truncate,
    upcast,
  };
}

/** A statement, with values for `$1`, `$2`… */
export type Statement = string | { readonly text: string; readonly params?: readonly unknown[] };

export interface RawSqlProjectionOptions<E extends Event> extends TableProjectionOptions<E> {
  /** The statements that an event leads to; none for nothing. */
  evolve: (
    event: ReadEvent<E>,
    context: ProjectionContext,
  ) => Statement | readonly Statement[] | null | undefined;
  /** Statements that create what it needs; called often, so `create … if not exists`. */
  init?:
    Statement | readonly Statement[] | ((context: ProjectionContext) => Statement | readonly Statement[]);
}

/**
 * Writes tables by the statements that each event leads to.
 *
 * @throws InvalidArgumentError
 */
export function rawSqlProjection<E extends Event>(options: RawSqlProjectionOptions<E>): Projection<E> {
  const { evolve, init, ...common } = options;
  if (typeof evolve !== 'function') throw new InvalidArgumentError('evolve', 'must be a function.');
  return sqlProjection<E>({
    ...common,
    handle: async (events, context) => {
      for (const event of events) await runAll(evolve(event, context), context);
    },
    ...(init !== undefined && {
      init: (context) => runAll(typeof init === 'function' ? init(context) : init, context),
    }),
  });
}

async function runAll(
  statements: Statement | readonly Statement[] | null | undefined,
  context: ProjectionContext,
): Promise<void> {
  if (statements === null || statements === undefined) return;
  for (const statement of isList(statements) ? statements : [statements]) {
    if (typeof statement === 'string') await context.query(statement);
    else await context.query(statement.text, statement.params);
  }
}

/** `Array.isArray` does not narrow readonly arrays. */
function isList(statements: Statement | readonly Statement[]): statements is readonly Statement[] {
  return Array.isArray(statements);
}

function checkTables(tables: readonly string[]): readonly string[] {
  if (!Array.isArray(tables)) throw new InvalidArgumentError('tables', 'must be an array of names.');
  for (const [i, table] of tables.entries()) assertCollectionName(table, `tables[${i}]`);
  return tables;
}
