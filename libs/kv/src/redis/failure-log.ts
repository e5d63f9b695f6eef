import { Logger } from '@nestjs/common';
import { messageOf } from '@nestbox/core';

/**
 * Tells once that work in the background fails, and once that it goes on. A lost connection is left to
 * `@nestbox/redis`, which tells of it.
 */
export class FailureLog {
  private readonly logger = new Logger('NestboxKvRedis');
  private failing = false;

  /** @param what as in `<what> fails` */
  constructor(private readonly what: string) {}

  failed(error: unknown): void {
    if (this.failing || (error as { code?: unknown } | undefined)?.code === 'REDIS_UNAVAILABLE') return;
    this.failing = true;
    this.logger.warn(`${this.what} fails and is tried again: ${messageOf(error)}`);
  }

  succeeded(): void {
    if (!this.failing) return;
    this.failing = false;
    this.logger.log(`${this.what} goes on.`);
  }
}
