import { messageOf } from '@nestbox/core';
import { logger } from './logger.js';

/** Says once, however many runs meet it and however long it lasts, that nothing can be written. */
export class OutageLog {
  private isThere = false;

  failed(error: unknown): void {
    if (!this.isThere) {
      logger.warn(`What runs have done could not be written yet; trying again: ${messageOf(error)}`);
    }
    this.isThere = true;
  }

  worked(): void {
    this.isThere = false;
  }
}
