import { messageOf, runInRootScope } from '@nestbox/core';
import type { Postgres } from '@nestbox/postgres';
import { Logger } from '@nestjs/common';
import type { KvTable } from './kv-table.js';

export interface CaretakerOptions {
  sweepMs: number;
  /** How long changes are kept; undefined where this process neither logs nor reads them. */
  retentionMs: number | undefined;
  tombstoneMs: number;
  /** Whether somebody in this process watches. */
  isWatched: () => boolean;
  /** Called after expired entries were deleted and that was logged. */
  onLogged: () => void;
}

/** Rows that one statement removes. */
const SWEEP_BATCH = 500;
const TIDY_BATCH = 5_000;

/** After so many logged writes that nobody here reads, it is worth a look whether they need to be logged. */
const UNREAD_WRITES = 100;
const MIN_TIDY_INTERVAL_MS = 250;

/** setTimeout turns longer delays into none. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

/**
 * Deletes expired entries, and what is left of old changes and deletions, in the background. Any number of processes
 * may be at it.
 */
export class Caretaker {
  private readonly logger = new Logger('PostgresAdapter');
  private readonly sweepText: string;
  private readonly tidyText: string;
  private readonly intervalMs: number;
  private timer: NodeJS.Timeout | undefined;
  private running: Promise<void> | undefined;
  private unreadWrites = 0;
  private tidiedAt = -Infinity;
  private failing = false;
  private closed = false;

  constructor(
    private readonly postgres: Postgres,
    private readonly table: KvTable,
    private readonly options: CaretakerOptions,
  ) {
    this.sweepText = `select swept, logged from ${table.with('_sweep')}($1::int)`;
    this.tidyText = `select ${table.with('_tidy')}($1::float8, $2::boolean, $3::float8, $4::int) as more`;
    // Often enough that nobody ends the logging while we watch.
    const { sweepMs, retentionMs = Infinity } = options;
    this.intervalMs = Math.min(sweepMs, retentionMs / 3, MAX_TIMEOUT_MS);
  }

  start(): void {
    runInRootScope(() => this.plan());
  }

  /** To be told of logged writes, which are wasted when nobody watches. */
  noteLogged(): void {
    if (this.options.isWatched() || ++this.unreadWrites < UNREAD_WRITES || this.running !== undefined) return;
    if (performance.now() - this.tidiedAt < MIN_TIDY_INTERVAL_MS) return;
    runInRootScope(() => this.run());
  }

  async close(): Promise<void> {
    this.closed = true;
    clearTimeout(this.timer);
    await this.running;
  }

  private plan(): void {
    clearTimeout(this.timer);
    if (this.closed) return;
    // Processes that started together shall not sweep together.
    this.timer = setTimeout(() => this.run(), this.intervalMs * (0.75 + Math.random() * 0.25)).unref();
  }

  private run(): void {
    if (this.closed || this.running !== undefined) return;
    this.running = this.work().finally(() => {
      this.running = undefined;
      this.plan();
    });
  }

  /** Never rejects. */
  private async work(): Promise<void> {
    this.unreadWrites = 0;
    this.tidiedAt = performance.now();
    try {
      while (!this.closed && (await this.sweep()) === SWEEP_BATCH);
      while (!this.closed && (await this.tidy()));
      this.failing = false;
    } catch (error) {
      if (!this.failing && !this.closed) {
        this.logger.warn(`${this.table.target} could not be swept; trying again: ${messageOf(error)}`);
      }
      this.failing = true;
    }
  }

  private async sweep(): Promise<number> {
    const [row] = await this.postgres.query(this.sweepText, [SWEEP_BATCH]);
    const swept = Number(row!['swept']);
    if (swept > 0 && row!['logged'] === true) this.options.onLogged();
    return swept;
  }

  private async tidy(): Promise<boolean> {
    const { retentionMs = null, isWatched, tombstoneMs } = this.options;
    const params = [retentionMs, isWatched(), tombstoneMs, TIDY_BATCH];
    const [row] = await this.postgres.query(this.tidyText, params);
    return row!['more'] === true;
  }
}
