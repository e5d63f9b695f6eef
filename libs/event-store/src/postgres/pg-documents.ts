import { UnsupportedOperationError, encodeJson, type JsonObject } from '@nestbox/core';
import { quoteIdentifier, textArray, type Postgres, type StatementCall } from '@nestbox/postgres';
import { createHash } from 'node:crypto';
import { SHADOW_SUFFIX, assertTableName } from '../documents/collection-name.js';
import type { DocumentQuery } from '../documents/document-query.js';
import type {
  CollectionSchema,
  DocumentBackend,
  DocumentChange,
  DocumentKey,
  DocumentLock,
  StoredDocument,
} from '../documents/document.backend.js';
import { parsePath } from '../documents/filter.js';
import { NotFoundError, PartitionNotFoundError } from '../event-store.errors.js';
import { countStatement, findStatement } from './document-statements.js';
import { toBigInt } from './message-rows.js';

type Row = Record<string, unknown>;

const MAX_TABLE_BYTES = 63;

/** A statement that reads documents, and what its rows say. */
interface ReadCall extends StatementCall {
  parse(rows: readonly Row[]): (StoredDocument | undefined)[];
}

/** Documents in PostgreSQL: a table for each collection, in the schema of the events. */
export class PgDocuments implements DocumentBackend {
  private readonly quotedSchema: string;

  constructor(
    private readonly postgres: Postgres,
    private readonly schema: string,
  ) {
    this.quotedSchema = quoteIdentifier(schema);
  }

  /** @throws InvalidArgumentError; an error of PostgreSQL when there is a table of this name that is no collection */
  async ensure({ name, indexes, indexAll }: CollectionSchema): Promise<void> {
    assertTableName(name, 'name');
    const paths = indexes.map((index, i) => parsePath(index, `indexes[${i}]`));
    await this.postgres.query(
      `select ${this.quotedSchema}.emt_create_collection($1, $2::text::jsonb, $3::boolean)`,
      [name, JSON.stringify(paths), indexAll],
    );
  }

  async lock(
    table: string,
    keys: readonly DocumentKey[],
    isOwned = false,
  ): Promise<readonly (StoredDocument | undefined)[]> {
    this.assertInTransaction('Locking documents');
    if (keys.length === 0) return [];
    const call = this.lockCall(table, keys, isOwned);
    return call.parse(await this.run(table, keys, call.text, call.params));
  }

  /** The statement that locks documents, and what its rows say. */
  lockCall(table: string, keys: readonly DocumentKey[], isOwned: boolean): ReadCall {
    if (isOwned) return this.lockOwnedCall(table, keys);
    assertTableName(table, 'table');
    const text = `select k.ord, k.data, k.version
      from ${this.quotedSchema}.emt_lock_documents($3, $1::text[], $2::text[]) k`;
    return this.readCall(keys, text, [table]);
  }

  /**
   * Those that are not there need no lock where nobody else may write them. Those that are there get one all the same:
   * it keeps a rebuild from exchanging the table between reading and writing.
   */
  private lockOwnedCall(table: string, keys: readonly DocumentKey[]): ReadCall {
    const [{ partition } = { partition: '' }] = keys;
    if (keys.some((key) => key.partition !== partition)) {
      return this.readCall(
        keys,
        `select k.ord::integer as ord, d.data::text as data, d._version as version
           from unnest($1::text[], $2::text[]) with ordinality as k (partition, id, ord)
           join ${this.quoted(table)} d on d.partition = k.partition and d._id = k.id
          order by k.partition collate "C", k.id collate "C"
            for no key update of d`,
      );
    }
    const ids = [...new Set(keys.map(({ id }) => id))];
    const document = `d._id as id, d.data::text as data, d._version as version from ${this.quoted(table)} d`;
    // Not `= any (ids)`: until the table has been analyzed, that is planned as a scan of the whole partition.
    const text =
      ids.length === 1
        ? `select ${document} where d.partition = $1 and d._id = $2 for no key update`
        : `select d.id, d.data, d.version
             from (select k.id from unnest($2::text[]) as k (id) order by k.id collate "C") k
            cross join lateral (
              select ${document} where d.partition = $1 and d._id = k.id for no key update
            ) d`;
    return {
      text,
      params: [partition, ids.length === 1 ? ids[0] : textArray(ids)],
      parse: (rows) => {
        const found = new Map(rows.map((row) => [row['id'], documentOf(row['id'] as string, row)]));
        return keys.map(({ id }) => found.get(id));
      },
    };
  }

  async write(table: string, changes: readonly DocumentChange[], atCommit = false): Promise<void> {
    this.assertInTransaction('Writing documents');
    const target = this.quoted(table);
    if (changes.length === 0) return;
    const removed = changes.filter(({ data }) => data === null);
    const stored = changes.filter(({ data }) => data !== null);
    const parts: string[] = [];
    const params: unknown[] = [];
    const bind = (texts: readonly string[]): string => `$${params.push(textArray(texts))}::text[]`;
    if (removed.length > 0) {
      parts.push(
        `delete from ${target} d using unnest(${bind(removed.map(({ partition }) => partition))},
           ${bind(removed.map(({ id }) => id))}) as k (partition, id)
         where d.partition = k.partition and d._id = k.id`,
      );
    }
    if (stored.length > 0) {
      parts.push(
        `insert into ${target} as d (partition, _id, data)
         select k.partition, k.id, k.data::jsonb
           from unnest(${bind(stored.map(({ partition }) => partition))}, ${bind(stored.map(({ id }) => id))},
             ${bind(stored.map(({ data }) => encodeJson(data, 'document')))}) as k (partition, id, data)
         on conflict (partition, _id)
         do update set data = excluded.data, _version = d._version + 1, _updated = excluded._updated`,
      );
    }
    const text = parts.length === 1 ? parts[0]! : `with removed as (${parts[0]!}) ${parts[1]!}`;
    if (atCommit) this.postgres.currentTransaction!.queryAtCommit(text, params);
    else await this.run(table, changes, text, params);
  }

  async getMany(
    table: string,
    keys: readonly DocumentKey[],
  ): Promise<readonly (StoredDocument | undefined)[]> {
    if (keys.length === 0) return [];
    const target = this.quoted(table);
    const call = this.readCall(
      keys,
      `select k.ord::integer as ord, d.data::text as data, d._version as version
         from unnest($1::text[], $2::text[]) with ordinality as k (partition, id, ord)
         join ${target} d on d.partition = k.partition and d._id = k.id`,
    );
    return call.parse(await this.run(table, keys, call.text, call.params));
  }

  async find(table: string, partition: string, query: DocumentQuery): Promise<readonly StoredDocument[]> {
    const { text, params } = findStatement(this.quoted(table), partition, query);
    const rows = await this.run(table, [], text, params);
    return rows.map((row) => documentOf(row['id'] as string, row));
  }

  async count(table: string, partition: string, query: DocumentQuery): Promise<number> {
    const { text, params } = countStatement(this.quoted(table), partition, query);
    const [row] = await this.run(table, [], text, params);
    return Number(row!['number']);
  }

  async clear(table: string, partition: string | undefined): Promise<void> {
    // Locked first, and in the order in which `lock` does it, so that nobody waits in a circle.
    await this.run(
      table,
      [],
      `with doomed as materialized (
         select d.partition, d._id from ${this.quoted(table)} d
          where $1::text is null or d.partition = $1
          order by d.partition, d._id
            for update
       )
       delete from ${this.quoted(table)} d using doomed
        where d.partition = doomed.partition and d._id = doomed._id`,
      [partition ?? null],
    );
  }

  /** What is too long is cut, and told apart by a hash. */
  shadowName(name: string): string {
    const shadow = name + SHADOW_SUFFIX;
    if (Buffer.byteLength(shadow) <= MAX_TABLE_BYTES) return shadow;
    const end = `_${createHash('sha256').update(name).digest('hex').slice(0, 12)}${SHADOW_SUFFIX}`;
    let start = name;
    while (Buffer.byteLength(start + end) > MAX_TABLE_BYTES) start = Array.from(start).slice(0, -1).join('');
    return start + end;
  }

  async freeze(tables: readonly string[]): Promise<void> {
    this.assertInTransaction('Freezing collections');
    // What `swap` will take: those that have it, as a new partition does, wait for the tables.
    await this.postgres.query("select pg_advisory_xact_lock(hashtext('nestbox event store'), hashtext($1))", [
      this.schema,
    ]);
    if (tables.length === 0) return;
    // All who come later wait behind whoever waits for a lock like this, so that is not done for long.
    await this.postgres.query("select set_config('lock_timeout', '300', true)");
    for (const table of tables) {
      await this.run(table, [], `lock table ${this.quoted(table)} in exclusive mode`);
    }
  }

  async swap(tables: readonly string[]): Promise<void> {
    this.assertInTransaction('Exchanging collections');
    for (const table of tables) assertTableName(table, 'table');
    const shadows = tables.map((table) => this.shadowName(table));
    await this.run(shadows, [], `select ${this.quotedSchema}.emt_swap_tables($1::text[], $2::text[])`, [
      textArray(tables),
      textArray(shadows),
    ]);
  }

  async drop(tables: readonly string[]): Promise<void> {
    for (const table of tables) assertTableName(table, 'table');
    await this.postgres.query(`select ${this.quotedSchema}.emt_drop_tables($1::text[])`, [textArray(tables)]);
  }

  quoted(table: string): string {
    assertTableName(table, 'table');
    return `${this.quotedSchema}.${quoteIdentifier(table)}`;
  }

  /**
   * @param text gives the number of the key, data and version; `$1` and `$2` are the partitions and ids
   * @returns what is read in the order of `keys`
   */
  private readCall(keys: readonly DocumentKey[], text: string, params: readonly unknown[] = []): ReadCall {
    const asked = [...new Map(keys.map((key) => [keyOf(key), key]))];
    const partitions = textArray(asked.map(([, { partition }]) => partition));
    const ids = textArray(asked.map(([, { id }]) => id));
    return {
      text,
      params: [partitions, ids, ...params],
      parse: (rows) => {
        const found = new Map(
          rows.map((row) => {
            const [key, { id }] = asked[Number(row['ord']) - 1]!;
            return [key, documentOf(id, row)];
          }),
        );
        return keys.map((key) => found.get(keyOf(key)));
      },
    };
  }

  /** What an error of statements that lock says, if something is missing. */
  known(error: unknown, locks: readonly DocumentLock[]): Error | undefined {
    return known(
      error,
      locks.map(({ table }) => table),
      locks.flatMap(({ keys }) => keys),
    );
  }

  /** @param keys that the statement writes to or locks */
  private async run(
    tables: string | readonly string[],
    keys: readonly DocumentKey[],
    text: string,
    params: readonly unknown[] = [],
  ): Promise<Row[]> {
    try {
      return await this.postgres.query(text, params);
    } catch (error) {
      throw known(error, [tables].flat(), keys) ?? error;
    }
  }

  private assertInTransaction(operation: string): void {
    if (this.postgres.currentTransaction !== undefined) return;
    throw new UnsupportedOperationError(
      `${operation} outside a transaction`,
      'the PostgreSQL backend',
      'Call it inside transaction(fn).',
    );
  }
}

/** No name contains NUL. */
function keyOf({ partition, id }: DocumentKey): string {
  return `${partition}\0${id}`;
}

function documentOf(id: string, row: Row): StoredDocument {
  return {
    id,
    data: JSON.parse(row['data'] as string) as JsonObject,
    version: toBigInt(row['version']),
  };
}

/** An error that says what is missing, if that is what is wrong. */
function known(
  error: unknown,
  tables: readonly string[],
  keys: readonly DocumentKey[],
): NotFoundError | PartitionNotFoundError | undefined {
  const { code, message, constraint_name } = (error ?? {}) as Record<string, unknown>;
  if (code === '42P01') {
    // `relation "event_store.carts" does not exist`, in whatever language
    const missing = tables.find((table) => String(message).includes(`.${table}"`));
    return missing === undefined
      ? undefined
      : new NotFoundError('collection', missing, 'Register a projection that declares it.');
  }
  // That there is no partition for a row comes as the violation of a check that has no name.
  const partitions = new Set(keys.map(({ partition }) => partition));
  if (code !== '23514' || constraint_name !== undefined || partitions.size !== 1) return undefined;
  return new PartitionNotFoundError([...partitions][0]!);
}
