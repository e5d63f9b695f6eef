import type { TextResult, Transaction } from '@nestbox/postgres';
import type { PgTypes } from './pg-types.js';
import { UnsupportedInTransactionError } from './typeorm.errors.js';

/** The answer of `pg`'s `client.query`, as far as TypeORM reads it. */
interface PgResult {
  command: string;
  rowCount: number | null;
  rows: Record<string, unknown>[];
  fields: { name: string; dataTypeID: number }[];
}

/** Looks like a client of `pg` to TypeORM, and sends its statements on the connection of a Nestbox transaction. */
export class PgClientFacade {
  constructor(
    private readonly transaction: Transaction,
    private readonly types: PgTypes,
  ) {}

  /** @throws what `pg` would throw; TransactionClosedError */
  async query(text: string, values: readonly unknown[] = []): Promise<PgResult> {
    const params = values.map((value) => this.textOf(value));
    let result: TextResult;
    try {
      result = await this.transaction.onConnection((connection) => {
        if (connection.queryText === undefined) throw cannotShare();
        return connection.queryText(text, params);
      });
    } catch (error) {
      throw isServerError(error) ? this.asPgError(error) : error;
    }
    return this.read(result);
  }

  private textOf(value: unknown): string | null {
    const prepared = this.types.prepareValue(value);
    if (prepared === null || typeof prepared === 'string') return prepared;
    return `\\x${Buffer.from(prepared).toString('hex')}`;
  }

  private read({ command, rowCount, columns, rows }: TextResult): PgResult {
    const parsers = columns.map(({ type }) => this.types.getTypeParser(type, 'text'));
    return {
      command,
      rowCount,
      rows: rows.map((values) =>
        Object.fromEntries(
          values.map((value, i) => [columns[i]!.name, value === null ? null : parsers[i]!(value)]),
        ),
      ),
      fields: columns.map(({ name, type }) => ({ name, dataTypeID: type })),
    };
  }

  /** Users of TypeORM look at `driverError.constraint` and the like, which postgres.js names otherwise. */
  private asPgError(error: ServerError): Error {
    const {
      column_name: column,
      constraint_name: constraint,
      table_name: table,
      schema_name: schema,
    } = error;
    const own = new this.types.DatabaseError(error.message, 0, 'error');
    return Object.assign(own, {
      ...pick(error, ['severity', 'code', 'detail', 'hint', 'position', 'where', 'file', 'line', 'routine']),
      internalPosition: error['internal_position'],
      internalQuery: error['internal_query'],
      dataType: error['type_name'],
      column,
      constraint,
      table,
      schema,
      cause: error,
    });
  }
}

/** An error of PostgreSQL, with the fields that postgres.js gives it. */
type ServerError = Error & Record<string, unknown> & { severity: string };

function isServerError(error: unknown): error is ServerError {
  return error instanceof Error && 'severity' in error;
}

function pick(error: ServerError, names: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(names.map((name) => [name, error[name]]));
}

function cannotShare(): UnsupportedInTransactionError {
  return new UnsupportedInTransactionError(
    'TypeORM cannot work on the connection of this transaction, which belongs to somebody else (Postgres.joinTransaction). ' +
      'Let Nestbox open the transaction.',
  );
}
