import { messageOf, runInRootScope } from '@nestbox/core';
import { Logger } from '@nestjs/common';
import type { PgStream } from './pg-stream.js';

const BATCH = 1000;
const MAX_INTERVAL_MS = 10_000;

/** Deletes what is not needed any more, in the background. Any number of instances may be at it. */
export class PgTrimmer {
  private readonly logger = new Logger('PgBackplane');
  private readonly intervalMs: number;
  /** Topics that this instance has published to, with a history. */
  private grown = new Set<string>();
  private timer: NodeJS.Timeout | undefined;
  private running: Promise<void> | undefined;
  private isFailing = false;
  private isClosed = false;

  constructor(
    private readonly stream: PgStream,
    private readonly keepMs: number,
  ) {
    this.intervalMs = Math.min(MAX_INTERVAL_MS, Math.max(50, keepMs / 4));
  }

  start(): void {
    runInRootScope(() => this.plan());
  }

  noteGrown(topic: string): void {
    this.grown.add(topic);
  }

  async close(): Promise<void> {
    this.isClosed = true;
    clearTimeout(this.timer);
    await this.running;
  }

  private plan(): void {
    if (this.isClosed) return;
    // Instances that started together shall not trim together.
    const pause = this.intervalMs * (0.75 + Math.random() * 0.25);
    this.timer = setTimeout(() => {
      this.running = this.trim().finally(() => {
        this.running = undefined;
        this.plan();
      });
    }, pause).unref();
  }

  /** Never rejects. */
  private async trim(): Promise<void> {
    const grown = [...this.grown];
    this.grown = new Set();
    try {
      for (let first = true, deleted = BATCH; deleted === BATCH && !this.isClosed; first = false) {
        deleted = await this.stream.trim(this.keepMs, first ? grown : [], BATCH);
      }
      this.isFailing = false;
    } catch (error) {
      for (const topic of grown) this.grown.add(topic);
      if (!this.isFailing && !this.isClosed) {
        this.logger.warn(`Old messages could not be deleted; trying again: ${messageOf(error)}`);
      }
      this.isFailing = true;
    }
  }
}
