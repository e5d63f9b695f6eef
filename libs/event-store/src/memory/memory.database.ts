import { AsyncLocalStorage } from 'node:async_hooks';
import { KeyedMutex, UnsupportedOperationError, messageOf, RowLayer } from '@nestbox/core';
import { Logger } from '@nestjs/common';
import { MemoryTransaction } from './memory.transaction.js';

const logger = new Logger('NestboxMemoryEventStore');

/**
 * Tables with transactions: one at a time, and writes outside of it wait for its end. Reads outside see what is
 * committed, and wait for nothing.
 */
export class MemoryDatabase {
  readonly committed = new RowLayer();
  private readonly ambient = new AsyncLocalStorage<MemoryTransaction | undefined>();
  private readonly mutex = new KeyedMutex();

  get inTransaction(): boolean {
    return this.ambient.getStore() !== undefined;
  }

  /** @param fn reads and must not write */
  async read<T>(fn: (tables: RowLayer) => T): Promise<T> {
    const transaction = this.ambient.getStore();
    return transaction === undefined ? fn(this.committed) : transaction.inTurn(() => fn(transaction.layer));
  }

  /** @param fn when it throws, nothing of what it wrote remains */
  async write<T>(fn: (tables: RowLayer) => T): Promise<T> {
    const transaction = this.ambient.getStore();
    if (transaction === undefined) return this.mutex.run('', async () => written(this.committed, fn));
    return transaction.inTurn(() => written(transaction.layer, fn));
  }

  /** As {@link write}, for what makes sense in a transaction only. */
  async writeInTransaction<T>(operation: string, fn: (tables: RowLayer) => T): Promise<T> {
    if (!this.inTransaction) {
      throw new UnsupportedOperationError(
        `${operation} outside a transaction`,
        'the memory backend',
        'Call it inside transaction(fn).',
      );
    }
    return this.write(fn);
  }

  /** @see EventStoreBackend.transaction */
  async transaction<T>(fn: () => Promise<T>): Promise<T> {
    const outer = this.ambient.getStore();
    if (outer !== undefined) {
      return outer.inTurn(() => this.run(new MemoryTransaction(this.committed, outer), fn));
    }
    const transaction = new MemoryTransaction(this.committed);
    const result = await this.mutex.run('', () => this.run(transaction, fn));
    // By now others may write, so that this may do so too.
    for (const work of transaction.takeAfterCommit()) this.runAfterCommit(work);
    return result;
  }

  /** @see EventStoreBackend.afterCommit */
  afterCommit(fn: () => void): void {
    const transaction = this.ambient.getStore();
    if (transaction === undefined) fn();
    else transaction.afterCommit(fn);
  }

  private async run<T>(transaction: MemoryTransaction, fn: () => Promise<T>): Promise<T> {
    try {
      const result = await this.ambient.run(transaction, async () => fn());
      await transaction.commit();
      return result;
    } catch (error) {
      transaction.rollback();
      throw error;
    }
  }

  private runAfterCommit(fn: () => void): void {
    try {
      this.ambient.run(undefined, fn);
    } catch (error) {
      logger.error(`Work registered with afterCommit failed: ${messageOf(error)}`, error);
    }
  }
}

function written<T>(below: RowLayer, fn: (tables: RowLayer) => T): T {
  const layer = new RowLayer(below);
  const result = fn(layer);
  layer.merge();
  return result;
}
