import { compareUtf8 } from '@nestbox/core';
import { textArray, type Postgres, type Row } from '@nestbox/postgres';
import type { EncodedOperation, Lifetime } from '../adapter-support.js';
import type { KvTable } from './kv-table.js';
import { operationJson, type Outcome, type WriteOperation } from './write-operations.js';
import { toBigInt } from './rows.js';

/** An entry to be stored whatever was there before. */
export interface NewEntry {
  readonly key: string;
  readonly json: string;
  readonly lifetime: Lifetime;
}

/** What a statement did, and whether it logged changes. */
export interface Written<T> {
  result: T;
  logged: boolean;
}

/**
 * The statements that write. Each locks its keys in their byte order, so that no two ever wait for each other.
 *
 * `keepStates` is how many states of each key the history keeps; 0 records none.
 */
export class WriteStatements {
  private readonly putOneText: string;
  private readonly putText: string;
  private readonly removeText: string;
  private readonly applyText: string;

  constructor(
    private readonly postgres: Postgres,
    table: KvTable,
  ) {
    this.putOneText = putOneText(table);
    this.putText = `select ${table.with('_put')}($1::text[], $2::text::jsonb, $3::text::float8[], $4::int) as versions`;
    this.removeText = `select positions, logged from ${table.with('_remove')}($1::text[], $2::int)`;
    this.applyText = `select item, outcome, new_version::text as version, detail, logged
      from ${table.with('_apply')}($1::text[], $2::text::jsonb, $3::boolean, $4::int)`;
  }

  /** Stores an entry. */
  async putOne({ key, json, lifetime }: NewEntry): Promise<Written<bigint>> {
    const params = [key, json, typeof lifetime === 'number' ? lifetime : null];
    const [row] = await this.postgres.query(this.putOneText, params);
    const version = toBigInt(row!['version']);
    return version < 0n ? { result: -version, logged: true } : { result: version, logged: false };
  }

  /** Stores entries with distinct keys; gives their versions. */
  async put(entries: readonly NewEntry[], keepStates: number): Promise<Written<bigint[]>> {
    const order = keyOrder(entries);
    const keys: string[] = [];
    const values: string[] = [];
    const ttls: (number | 'null')[] = [];
    for (const i of order) {
      const { key, json, lifetime } = entries[i]!;
      keys.push(key);
      values.push(json);
      ttls.push(typeof lifetime === 'number' ? lifetime : 'null');
    }
    const params = [textArray(keys), `[${values.join(',')}]`, `{${ttls.join(',')}}`, keepStates];
    const [row] = await this.postgres.query(this.putText, params);
    const versions = String(row!['versions']);
    const logged = versions.startsWith('-');
    const result: bigint[] = [];
    (logged ? versions.replaceAll('-', '') : versions).split(',').forEach((version, i) => {
      result[order[i]!] = BigInt(version);
    });
    return { result, logged };
  }

  /** Deletes distinct keys; tells of each whether there was an entry. */
  async remove(keys: readonly string[], keepStates: number): Promise<Written<boolean[]>> {
    const order = keyOrder(keys.map((key) => ({ key })));
    const params = [textArray(order.map((i) => keys[i]!)), keepStates];
    const [row] = await this.postgres.query(this.removeText, params);
    const removed = keys.map(() => false);
    const positions = row!['positions'];
    if (typeof positions === 'string') {
      for (const position of positions.split(',')) removed[order[Number(position) - 1]!] = true;
    }
    return { result: removed, logged: row!['logged'] === true };
  }

  /** Runs any operations, whose keys may repeat, each by itself. */
  async apply(operations: readonly WriteOperation[], keepStates: number): Promise<Written<Outcome[]>> {
    const rows = await this.applyAll(operations, false, keepStates);
    const outcomes = operations.map((): Outcome => ({ type: 'done', version: undefined }));
    for (const row of rows) outcomes[Number(row['item']) - 1] = toOutcome(row);
    return { result: outcomes, logged: rows[0]?.['logged'] === true };
  }

  /** Runs all operations or, when one is refused, none: then gives what became of these, by their index. */
  async commit(
    operations: readonly EncodedOperation[],
    keepStates: number,
  ): Promise<Written<{ done: boolean; outcomes: Map<number, Outcome> }>> {
    const rows = await this.applyAll(operations, true, keepStates);
    const outcomes = new Map(rows.map((row) => [Number(row['item']) - 1, toOutcome(row)]));
    const done = [...outcomes.values()].every(({ type }) => type === 'done');
    return { result: { done, outcomes }, logged: done && rows[0]?.['logged'] === true };
  }

  private applyAll(
    operations: readonly (WriteOperation | EncodedOperation)[],
    allOrNone: boolean,
    keepStates: number,
  ): Promise<Row[]> {
    const keys = [...new Set(operations.map(({ key }) => key))].sort(compareUtf8);
    const json = `[${operations.map(operationJson).join(',')}]`;
    return this.postgres.query(this.applyText, [textArray(keys), json, allOrNone, keepStates]);
  }
}

/**
 * An upsert that costs hardly more than the plainest one. `<table>_put` does the same for many entries. While nobody
 * watches and nothing was ever deleted, there is nothing to settle.
 */
function putOneText(table: KvTable): string {
  // A row that was there has been locked by us, which leaves a mark in xmax.
  const created = 't.xmax = 0';
  return `insert into ${table.name} as t (key, value, version, created_at, updated_at, expires_at)
    values ($1, $2::text::jsonb, 1 + pg_sequence_last_value(${table.floor}), statement_timestamp(),
            statement_timestamp(), statement_timestamp() + $3::float8 * interval '1 millisecond')
    on conflict (key) do update
      set value = excluded.value,
          version = t.version + 1,
          created_at = case when t.expires_at <= clock_timestamp() then excluded.created_at else t.created_at end,
          updated_at = greatest(excluded.updated_at, t.updated_at),
          expires_at = excluded.expires_at
    returning (case when pg_sequence_last_value(${table.watched}) > 0
                      or (${created} and pg_sequence_last_value(${table.deletions}) > 0)
                    then ${table.with('_settle')}(t.key, t.version, t.value, ${created})
                    else t.version end)::text as version`;
}

/** The indexes of items in the byte order of their keys. */
function keyOrder(items: readonly { key: string }[]): number[] {
  return items.map((_, i) => i).sort((a, b) => compareUtf8(items[a]!.key, items[b]!.key));
}

function toOutcome(row: Row): Outcome {
  const version = row['version'] === null ? undefined : toBigInt(row['version']);
  switch (row['outcome']) {
    case 'conflict':
      return { type: 'conflict', current: version };
    case 'no counter':
      return { type: 'no counter', json: String(row['detail']) };
    default:
      return row['detail'] === null
        ? { type: 'done', version }
        : { type: 'done', version, sum: toBigInt(row['detail']) };
  }
}
