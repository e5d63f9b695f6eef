import { runInRootScope } from '@nestbox/core';
import { OrderedLog, textArray, type Postgres } from '@nestbox/postgres';
import { Logger } from '@nestjs/common';
import { setTimeout as sleep } from 'node:timers/promises';
import type { StoredChange } from '../kv.adapter.js';
import type { KvTable } from './kv-table.js';
import { millis, parseJson, toBigInt, toDate } from './rows.js';

/** A change with its value as JSON text. */
export interface LoggedChange {
  readonly type: 'set' | 'delete' | 'expire';
  readonly key: string;
  readonly json: string | undefined;
  readonly version: bigint;
  readonly revision: bigint;
  readonly at: number;
}

export interface LogPage {
  changes: LoggedChange[];
  /** Whether these are all of the range; else the next page begins after the last of them. */
  complete: boolean;
  /** Every change from this revision on is in the log; undefined where that can be said of none. */
  oldest: bigint | undefined;
}

/** Changes of one page at the most, and the bytes that their values may take (the first one is always there). */
const PAGE = 500;
const PAGE_BYTES = 4 * 1024 * 1024;

/** How long the beginning of logging waits for the writers that were under way. */
const MAX_WRITERS_WAIT_MS = 10_000;

/** The changes in the database: whether they are logged, and how to read them. */
export class KvLog {
  private readonly logger = new Logger('PostgresAdapter');
  private readonly ordered: OrderedLog;
  private readonly watchText: string;
  private readonly completeText: string;
  private readonly writersText: string;
  private readonly readText: string;

  constructor(
    private readonly postgres: Postgres,
    private readonly table: KvTable,
    private readonly retentionMs: number,
  ) {
    this.ordered = new OrderedLog(postgres, {
      sequence: { schema: table.schema, name: `${table.table}_revision` },
    });
    this.watchText = `select oldest::text as oldest, activation::text as activation, writers
      from ${table.with('_watch')}($1::float8)`;
    this.completeText = `select ${table.with('_complete')}($1::text::bigint)::text as oldest`;
    this.writersText = `select count(*)::int as count from pg_locks k
      where k.relation = ${table.regclass} and k.granted and k.virtualtransaction = any ($1::text[])`;
    this.readText = `
      select l.oldest_revision::text as oldest, p.*
        from ${table.log} l
        left join lateral (
          select c.revision::text as revision, c.key, c.version::text as version, c.type, c.value::text as value,
                 ${millis('c.at', 'at')}, c.rows_in_page::int as rows_in_page
            from (
              select c.*, sum(coalesce(pg_column_size(c.value), 0)) over w as bytes, row_number() over w as nth,
                     count(*) over () as rows_in_page
                from (
                  select *
                    from ${table.changes} c
                   where c.revision > $1::text::bigint and c.revision <= $2::text::bigint and starts_with(c.key, $3)
                   order by c.revision
                   limit ${PAGE}
                ) c
              window w as (order by c.revision)
            ) c
           where c.nth = 1 or c.bytes <= ${PAGE_BYTES}
           order by c.revision
        ) p on true`;
  }

  /**
   * Makes sure that changes are logged from now on, until the retention is over. Resolves to the oldest revision that
   * can be read from.
   */
  keep(): Promise<bigint> {
    return runInRootScope(async () => {
      for (;;) {
        const [watch] = await this.postgres.query(this.watchText, [this.retentionMs]);
        if (watch!['oldest'] !== null) return toBigInt(watch!['oldest']);
        await this.untilDone(watch!['writers']);
        const [complete] = await this.postgres.query(this.completeText, [String(watch!['activation'])]);
        if (complete!['oldest'] !== null) return toBigInt(complete!['oldest']);
      }
    });
  }

  /** The revision up to which the log is complete. */
  watermark(): Promise<bigint> {
    return runInRootScope(() => this.ordered.watermark());
  }

  /** The changes of keys with a prefix and `after < revision <= upTo`, in order; `upTo` is at most the watermark. */
  async read(after: bigint, upTo: bigint, prefix: string): Promise<LogPage> {
    const params = [after.toString(), upTo.toString(), prefix];
    const rows = await runInRootScope(() => this.postgres.query(this.readText, params));
    const oldest = rows[0]?.['oldest'] ?? null;
    const changes = rows
      .filter((row) => row['revision'] !== null)
      .map((row): LoggedChange => ({
        type: row['type'] as LoggedChange['type'],
        key: String(row['key']),
        json: (row['value'] as string | null) ?? undefined,
        version: toBigInt(row['version']),
        revision: toBigInt(row['revision']),
        at: Number(row['at']),
      }));
    return {
      changes,
      complete: changes.length < PAGE && changes.length === Number(rows[0]?.['rows_in_page'] ?? 0),
      oldest: oldest === null ? undefined : toBigInt(oldest),
    };
  }

  /** Waits until transactions are over that may have written without logging. */
  private async untilDone(writers: unknown): Promise<void> {
    if (typeof writers !== 'string') return;
    const ids = textArray(writers.split(','));
    const until = performance.now() + MAX_WRITERS_WAIT_MS;
    for (let pause = 2; ; pause = Math.min(pause * 2, 200)) {
      const [row] = await this.postgres.query(this.writersText, [ids]);
      if (Number(row!['count']) === 0) return;
      if (performance.now() > until) {
        this.logger.warn(
          `Transactions that wrote to ${this.table.target} before anybody watched it are still open after ` +
            `${MAX_WRITERS_WAIT_MS / 1000} s. What they have written so far will not be seen by those who watch.`,
        );
        return;
      }
      await sleep(pause, undefined, { ref: false });
    }
  }
}

export function toStoredChange({ type, key, json, version, revision, at }: LoggedChange): StoredChange {
  return {
    type: type === 'set' ? 'set' : 'delete',
    key,
    ...(type === 'set' ? { value: parseJson(json) } : undefined),
    version,
    revision,
    at: toDate(at),
    expired: type === 'expire',
  };
}
