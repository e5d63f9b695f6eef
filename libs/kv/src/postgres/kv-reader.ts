import { Coalescer, type JsonValue } from '@nestbox/core';
import type { Postgres, Row } from '@nestbox/postgres';
import { readableSize } from '../adapter-support.js';
import type { KeyRange, KvStats, StoredEntry, StoredHistoryEntry } from '../kv.adapter.js';
import { boundsOf, type KeyBounds } from './key-bounds.js';
import type { KvTable } from './kv-table.js';
import { ENTRY_COLUMNS, HISTORY_COLUMNS, LIVE, parseJson, toEntry, toHistory } from './rows.js';

/** A statement costs about as much as so many keys. */
const WORTHWHILE_KEYS = 64;
/** Keys in one statement at the most. */
const MAX_KEYS = 5_000;

/** Reads entries. Concurrent reads of single keys go together, except inside a transaction. */
export class KvReader {
  private readonly values: Coalescer<string, unknown>;
  private readonly entries: Coalescer<string, Row | undefined>;
  private readsAlone = false;
  private readonly valueText: string;
  private readonly valuesText: string;
  private readonly entriesText: string;
  private readonly allText: string;
  private readonly historyText: string;
  private readonly versionText: string;
  private readonly sizeText: string;

  constructor(
    private readonly postgres: Postgres,
    private readonly table: KvTable,
  ) {
    // One look into the index for each key, which is what the planner shall choose also while it takes the table
    // for empty. It does not know how many elements a JSON array has, so it need not plan anew for each array.
    const given = 'json_array_elements_text($1::text::json) as k (key)';
    this.valueText = `select t.value::text as value from ${table.name} t where t.key = $1 and ${LIVE}`;
    this.valuesText = `select (select t.value::text from ${table.name} t where t.key = k.key and ${LIVE}) as value
      from ${given}`;
    this.entriesText = `select t.* from ${given}
      cross join lateral (select ${ENTRY_COLUMNS} from ${table.name} t where t.key = k.key and ${LIVE} limit 1) t`;
    this.allText = `select t.key, t.value::text as value from ${table.name} t where ${LIVE} order by t.key`;
    const history = `select ${HISTORY_COLUMNS} from ${table.history} t where t.key = $1`;
    this.historyText = `${history} order by t.version desc limit $2::int`;
    this.versionText = `${history} and t.version = $2::text::bigint`;
    this.sizeText = `select count(*)::text as count, pg_total_relation_size(${table.regclass})::text as bytes
      from ${table.name} t where ${LIVE}`;

    const name = `The reads of ${table.target}`;
    this.values = new Coalescer({
      name,
      worthwhileItems: WORTHWHILE_KEYS,
      flush: (keys) => this.readValues(keys),
    });
    this.entries = new Coalescer({
      name,
      worthwhileItems: WORTHWHILE_KEYS,
      flush: async (keys) => {
        const found = new Map((await this.readRows(keys)).map((row) => [row['key'], row]));
        return keys.map((key) => found.get(key));
      },
    });
  }

  async close(): Promise<void> {
    await Promise.all([this.values.close(), this.entries.close()]);
  }

  /** The value as JSON text, null when there is none. Each caller parses it for itself. */
  json(key: string): Promise<unknown> {
    if (this.postgres.currentTransaction !== undefined) return this.readValue(key);
    // A lone call gains nothing from going with others.
    return this.readsAlone || !this.values.isIdle ? this.values.run(key) : this.readAlone(key);
  }

  async entry(key: string): Promise<StoredEntry | undefined> {
    if (this.postgres.currentTransaction !== undefined) return (await this.readEntries([key])).get(key);
    const row = await this.entries.run(key);
    return row && toEntry(row);
  }

  /** @param keys distinct */
  async entriesOf(keys: readonly string[]): Promise<Map<string, StoredEntry>> {
    if (keys.length <= MAX_KEYS) return this.readEntries(keys);
    const found = new Map<string, StoredEntry>();
    for (let i = 0; i < keys.length; i += MAX_KEYS) {
      for (const [key, entry] of await this.readEntries(keys.slice(i, i + MAX_KEYS))) found.set(key, entry);
    }
    return found;
  }

  async all(): Promise<Record<string, JsonValue>> {
    const rows = await this.postgres.query(this.allText);
    return Object.fromEntries(rows.map((row) => [String(row['key']), parseJson(row['value'])]));
  }

  /** @param contains as JSON text; undefined for any value */
  async list(range: KeyRange, contains?: string): Promise<StoredEntry[]> {
    const params: unknown[] = [];
    let condition = within(boundsOf(range), params);
    if (contains !== undefined) condition += ` and t.value @> $${params.push(contains)}::text::jsonb`;
    const rows = await this.postgres.query(
      `select ${ENTRY_COLUMNS} from ${this.table.name} t where ${condition} and ${LIVE}
        order by t.key ${range.reverse === true ? 'desc' : 'asc'} limit $${params.push(String(range.limit))}::text::bigint`,
      params,
    );
    return rows.map(toEntry);
  }

  async stats(prefix: string): Promise<KvStats> {
    const [row] = prefix === '' ? await this.postgres.query(this.sizeText) : await this.sizeOf(prefix);
    const bytes = Number(row!['bytes']);
    return { count: Number(row!['count']), size: readableSize(bytes), bytes };
  }

  async history(key: string, limit: number): Promise<StoredHistoryEntry[]> {
    const rows = await this.postgres.query(this.historyText, [key, Math.min(limit, 2 ** 31 - 1)]);
    return rows.map((row) => toHistory(key, row));
  }

  async version(key: string, version: bigint): Promise<StoredHistoryEntry | undefined> {
    const [row] = await this.postgres.query(this.versionText, [key, version.toString()]);
    return row && toHistory(key, row);
  }

  private async readAlone(key: string): Promise<unknown> {
    this.readsAlone = true;
    try {
      return await this.readValue(key);
    } finally {
      this.readsAlone = false;
    }
  }

  private async readValue(key: string): Promise<unknown> {
    const [row] = await this.postgres.query(this.valueText, [key]);
    return row === undefined ? null : row['value'];
  }

  private async readValues(keys: readonly string[]): Promise<unknown[]> {
    if (keys.length === 1) return [await this.readValue(keys[0]!)];
    // The rows come in the order of the keys.
    const rows = await this.postgres.query(this.valuesText, [JSON.stringify(keys)]);
    return rows.map((row) => row['value']);
  }

  private async readEntries(keys: readonly string[]): Promise<Map<string, StoredEntry>> {
    return new Map((await this.readRows(keys)).map((row) => [String(row['key']), toEntry(row)]));
  }

  private readRows(keys: readonly string[]): Promise<Row[]> {
    return this.postgres.query(this.entriesText, [JSON.stringify(keys)]);
  }

  /** The columns of a row as they are stored, so compressed where they are; without what the table takes besides. */
  private sizeOf(prefix: string): Promise<Record<string, unknown>[]> {
    const params: unknown[] = [];
    return this.postgres.query(
      `select count(*)::text as count, coalesce(sum(pg_column_size(t.*)), 0)::text as bytes
         from ${this.table.name} t
        where ${within(boundsOf({ prefix }), params)} and ${LIVE}`,
      params,
    );
  }
}

/** The condition for keys within bounds. An open end has a text of its own, so that each text has a good plan. */
function within({ from, below }: KeyBounds, params: unknown[]): string {
  const condition = `t.key >= $${params.push(from)}`;
  return below === undefined ? condition : `${condition} and t.key < $${params.push(below)}`;
}
