import { UnsupportedOperationError } from '@nestbox/core';
import type { Postgres } from '@nestbox/postgres';
import type { ChangeFeed } from '../kv.adapter.js';
import { Backups } from './backups.js';
import { Caretaker } from './caretaker.js';
import { ChangeTail } from './change-tail.js';
import { KvLog } from './kv-log.js';
import { KvReader } from './kv-reader.js';
import { KvSchema } from './kv-schema.js';
import { KvWriter } from './kv-writer.js';
import type { PostgresSettings } from './postgres-adapter.options.js';
import { PostgresFeed } from './postgres-feed.js';
import { PostgresLeases } from './postgres-leases.js';

/** The parts of an open store. */
export class PostgresStore {
  readonly reader: KvReader;
  readonly writer: KvWriter;
  readonly backups: Backups;
  readonly leases: PostgresLeases;
  private readonly schema: KvSchema;
  private readonly caretaker: Caretaker;
  private readonly watching: { log: KvLog; tail: ChangeTail } | undefined;

  /** @param what what to call the adapter in a ClosedError */
  constructor(
    what: string,
    readonly postgres: Postgres,
    { table, migrate, indexValues, retentionMs, sweepMs, tombstoneMs, maxHistory }: PostgresSettings,
  ) {
    const topic = `kv:${table.target}`;
    const onLogged = (): void => {
      postgres.wakeup.notify(topic);
      this.caretaker.noteLogged();
    };
    this.schema = new KvSchema(postgres, table, { migrate, indexValues });
    this.reader = new KvReader(postgres, table);
    this.writer = new KvWriter(postgres, table, { maxHistory, onLogged });
    this.backups = new Backups(postgres, table, onLogged);
    this.leases = new PostgresLeases(what, postgres, table);
    if (retentionMs !== undefined) {
      const log = new KvLog(postgres, table, retentionMs);
      this.watching = { log, tail: new ChangeTail(what, log, () => postgres.wakeup, topic) };
    }
    const isWatched = (): boolean => this.watching?.tail.isWatched ?? false;
    this.caretaker = new Caretaker(postgres, table, {
      sweepMs,
      retentionMs,
      tombstoneMs,
      isWatched,
      onLogged,
    });
  }

  async open(): Promise<void> {
    await this.schema.prepare();
    this.caretaker.start();
  }

  /** Settles the calls under way, then ends all else. */
  async close(): Promise<void> {
    this.watching?.tail.close();
    await Promise.all([this.reader.close(), this.writer.close(), this.leases.close()]);
    await this.caretaker.close();
  }

  async revision(): Promise<bigint> {
    const { log } = this.changes('revision');
    const oldest = await log.keep();
    const watermark = await log.watermark();
    // What came before the log is known, too.
    return watermark < oldest ? oldest - 1n : watermark;
  }

  openFeed(prefix: string, fromRevision: bigint | undefined): Promise<ChangeFeed> {
    const { log, tail } = this.changes('watch');
    return PostgresFeed.open(log, tail, prefix, fromRevision);
  }

  private changes(operation: string): { log: KvLog; tail: ChangeTail } {
    if (this.watching !== undefined) return this.watching;
    throw new UnsupportedOperationError(
      operation,
      'this PostgreSQL store',
      'It was created with `changes: false`; leave that out.',
    );
  }
}
