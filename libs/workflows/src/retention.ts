import { messageOf, runInRootScope } from '@nestbox/core';
import { logger } from './engine/logger.js';
import type { WorkflowBackend } from './workflow.backend.js';

const EVERY_MS = 10 * 60 * 1_000;
const FIRST_MS = 1_000;
const BATCH = 1_000;

/** Deletes runs that have been over for long enough. */
export class Retention {
  private timer: NodeJS.Timeout | undefined;
  private isStopped = false;

  /** @param olderThanMs undefined to keep all */
  constructor(
    private readonly backend: Pick<WorkflowBackend, 'deleteEnded'>,
    private readonly olderThanMs: number | undefined,
  ) {}

  start(): void {
    if (this.olderThanMs !== undefined) this.plan(FIRST_MS);
  }

  stop(): void {
    this.isStopped = true;
    clearTimeout(this.timer);
  }

  private plan(ms: number): void {
    // Processes that started together shall not sweep together.
    const delay = ms * (0.75 + Math.random() * 0.25);
    this.timer = runInRootScope(() => setTimeout(() => void this.sweep(), delay)).unref();
  }

  private async sweep(): Promise<void> {
    try {
      let deleted = BATCH;
      while (deleted === BATCH && !this.isStopped) {
        deleted = await this.backend.deleteEnded(this.olderThanMs!, BATCH);
      }
    } catch (error) {
      logger.warn(`Old runs could not be deleted; trying again in 10 minutes: ${messageOf(error)}`);
    }
    if (!this.isStopped) this.plan(EVERY_MS);
  }
}
