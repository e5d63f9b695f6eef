import { backoffMs, compareUtf8 } from '@nestbox/core';
import { isTransactionConflict, type Postgres } from '@nestbox/postgres';
import { setTimeout as sleep } from 'node:timers/promises';
import type { EncodedEntry, EncodedOperation } from '../adapter-support.js';
import type { CommitResult } from '../kv.adapter.js';
import type { KeyBounds } from './key-bounds.js';
import type { KvTable } from './kv-table.js';
import { LIVE } from './rows.js';
import { WriteLane } from './write-lane.js';
import { notACounter, type Outcome, type WriteOperation } from './write-operations.js';
import { WriteStatements, type Written } from './write-statements.js';

export interface KvWriterOptions {
  /** How many states of each key the history keeps. */
  maxHistory: number;
  /** Called after changes were logged, in the async context of the caller. */
  onLogged: () => void;
}

/** Entries of one statement of `setMany` at the most, and how many characters their values may have. */
const MAX_CHUNK = 1_000;
const MAX_CHUNK_CHARS = 4 * 1024 * 1024;
/** Keys that `clear` deletes in one transaction. */
const CLEAR_BATCH = 1_000;

/** How often a statement that lost against another one is tried again. */
const MAX_RETRIES = 8;

/** Writes entries. Concurrent writes of single keys go together, except inside a transaction. */
export class KvWriter {
  private readonly statements: WriteStatements;
  private readonly plain: WriteLane;
  private readonly recorded: WriteLane;

  constructor(
    private readonly postgres: Postgres,
    private readonly table: KvTable,
    private readonly options: KvWriterOptions,
  ) {
    this.statements = new WriteStatements(postgres, table);
    const name = `The writes of ${table.target}`;
    const { statements } = this;
    const { maxHistory, onLogged } = options;
    const run = this.again.bind(this);
    this.plain = new WriteLane({ name, statements, keepStates: 0, run, onLogged });
    this.recorded = new WriteLane({ name, statements, keepStates: maxHistory, run, onLogged });
  }

  async close(): Promise<void> {
    await Promise.all([this.plain.close(), this.recorded.close()]);
  }

  write(operation: WriteOperation, record: boolean): Promise<Outcome> {
    const lane = record ? this.recorded : this.plain;
    return this.postgres.currentTransaction === undefined ? lane.run(operation) : lane.runAlone(operation);
  }

  /** @param entries with distinct keys, none of which keeps its expiry unless `put` alone cannot do it */
  async setMany(entries: readonly EncodedEntry[], record: boolean): Promise<Map<string, bigint>> {
    const versions = new Map<string, bigint>();
    const put = async (chunk: readonly EncodedEntry[]): Promise<void> => {
      const done = await this.told(this.putOrApply(chunk, this.keepStates(record)));
      chunk.forEach(({ key }, i) => versions.set(key, done[i]!));
    };
    await this.inChunks(entries, keyOf, ({ json }) => json.length, put);
    return versions;
  }

  async deleteMany(keys: readonly string[], record: boolean): Promise<number> {
    let count = 0;
    const remove = async (chunk: readonly string[]): Promise<void> => {
      const removed = await this.told(this.statements.remove(chunk, this.keepStates(record)));
      count += removed.filter(Boolean).length;
    };
    await this.inChunks(
      keys,
      (key) => key,
      () => 0,
      remove,
    );
    return count;
  }

  /** @throws NotACounterError */
  async commit(operations: readonly EncodedOperation[], record: boolean): Promise<CommitResult> {
    const versions = new Map<string, bigint>();
    if (operations.length === 0) return { ok: true, versions };
    const { done, outcomes } = await this.again(() =>
      this.told(this.statements.commit(operations, this.keepStates(record))),
    );
    const failed = new Set<string>();
    for (const [i, outcome] of outcomes) {
      const operation = operations[i]!;
      if (outcome.type === 'conflict') failed.add(operation.key);
      else if (done && outcome.type === 'done' && operation.type !== 'delete') {
        versions.set(operation.key, outcome.version!);
      }
    }
    if (done) return { ok: true, versions };
    if (failed.size > 0) return { ok: false, failed: [...failed] };
    for (const [i, outcome] of outcomes) {
      const operation = operations[i]!;
      if (outcome.type === 'no counter' && operation.type === 'increment') {
        throw notACounter(operation.key, outcome.json, operation.by);
      }
    }
    return { ok: true, versions };
  }

  /** Deletes what lies within the bounds, in batches of their own. */
  async clear({ from, below }: KeyBounds, record: boolean): Promise<number> {
    const upper = below === undefined ? '' : 'and t.key < $4';
    const text = `with batch as materialized (
        select t.key from ${this.table.name} t where t.key >= $1 ${upper} and ${LIVE} order by t.key limit $2::int
      )
      select (select count(*)::int from batch) as found, (select max(key) from batch) as last,
             r.removed, r.logged
        from ${this.table.with('_remove')}(array(select key from batch order by key), $3::int) r`;
    let count = 0;
    let start = from;
    for (;;) {
      const params: unknown[] = [start, CLEAR_BATCH, this.keepStates(record)];
      if (below !== undefined) params.push(below);
      const [row] = await this.again(() => this.postgres.query(text, params));
      if (row!['logged'] === true) this.options.onLogged();
      count += Number(row!['removed']);
      if (Number(row!['found']) < CLEAR_BATCH) return count;
      start = String(row!['last']);
    }
  }

  private keepStates(record: boolean): number {
    return record ? this.options.maxHistory : 0;
  }

  /** Entries that keep their expiry need the function that looks at what is there. */
  private async putOrApply(entries: readonly EncodedEntry[], keepStates: number): Promise<Written<bigint[]>> {
    if (entries.every(({ lifetime }) => lifetime !== 'keep')) return this.statements.put(entries, keepStates);
    const { result, logged } = await this.statements.commit(
      entries.map((entry) => ({ type: 'set', ...entry })),
      keepStates,
    );
    return { result: entries.map((_, i) => (result.outcomes.get(i) as { version: bigint }).version), logged };
  }

  /** Writes any number of items, all or none, in as few statements as their size allows. */
  private async inChunks<T>(
    items: readonly T[],
    keyOfItem: (item: T) => string,
    charsOf: (item: T) => number,
    write: (chunk: readonly T[]) => Promise<void>,
  ): Promise<void> {
    // Several statements lock the keys in order only when each begins where the one before ended.
    const ordered =
      items.length > 1 ? [...items].sort((a, b) => compareUtf8(keyOfItem(a), keyOfItem(b))) : items;
    const chunks = chunksOf(ordered, charsOf);
    if (chunks.length === 0) return;
    if (chunks.length === 1) return this.again(() => write(chunks[0]!));
    await this.again(() =>
      this.postgres.transaction(async () => {
        for (const chunk of chunks) await write(chunk);
      }),
    );
  }

  /** The result of a write; tells of changes that it logged. */
  private async told<T>(write: Promise<Written<T>>): Promise<T> {
    const { result, logged } = await write;
    if (logged) this.options.onLogged();
    return result;
  }

  /**
   * Tries again what lost against another transaction (a serialization failure or a deadlock), and so had no effect.
   * Inside the caller's transaction that is up to the caller, who has to run all of it again.
   */
  private async again<R>(fn: () => Promise<R>): Promise<R> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await fn();
      } catch (error) {
        const isLost = isTransactionConflict(error);
        if (!isLost || attempt > MAX_RETRIES || this.postgres.currentTransaction !== undefined) throw error;
        await sleep(backoffMs(attempt, { baseMs: 1, maxMs: 100 }));
      }
    }
  }
}

function keyOf({ key }: { key: string }): string {
  return key;
}

function chunksOf<T>(items: readonly T[], charsOf: (item: T) => number): T[][] {
  const chunks: T[][] = [];
  let chars = Infinity;
  for (const item of items) {
    const size = charsOf(item);
    let chunk = chunks.at(-1);
    if (chunk === undefined || chunk.length === MAX_CHUNK || chars + size > MAX_CHUNK_CHARS) {
      chunk = [];
      chunks.push(chunk);
      chars = 0;
    }
    chunk.push(item);
    chars += size;
  }
  return chunks;
}
