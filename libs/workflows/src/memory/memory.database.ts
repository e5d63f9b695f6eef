import { AsyncLocalStorage } from 'node:async_hooks';
import { KeyedMutex, messageOf, RowLayer } from '@nestbox/core';
import { Logger } from '@nestjs/common';
import type { WorkflowClock } from './clock.js';
import { MemoryTransaction } from './memory.transaction.js';
import { Operation, Sequences, type Notices } from './operation.js';

const logger = new Logger('NestboxMemoryWorkflows');

/**
 * Tables with transactions, one at a time. Calls outside of it do not see what it has written before its commit; those
 * that write a row that it has written wait for its end, and all others wait for nothing.
 */
export class MemoryDatabase {
  private readonly committed = new RowLayer();
  private readonly sequences = new Sequences();
  private readonly ambient = new AsyncLocalStorage<MemoryTransaction | undefined>();
  private readonly mutex = new KeyedMutex();
  private open: MemoryTransaction | undefined;

  /** @param tell wakes those who wait for what was written, once it is there for all */
  constructor(
    private readonly clock: WorkflowClock,
    private readonly tell: (notices: Notices) => void,
  ) {}

  get inTransaction(): boolean {
    return this.ambient.getStore() !== undefined;
  }

  /** @param fn reads and must not write */
  async read<T>(fn: (operation: Operation) => T): Promise<T> {
    const transaction = this.ambient.getStore();
    return transaction === undefined
      ? fn(this.on(this.committed))
      : transaction.inTurn(() => fn(this.on(transaction.layer)));
  }

  /** @param fn when it throws, nothing of what it wrote remains. It may be called more than once. */
  async write<T>(fn: (operation: Operation) => T): Promise<T> {
    const transaction = this.ambient.getStore();
    if (transaction === undefined) return this.writeOutside(fn);
    return transaction.inTurn(() => {
      const operation = this.on(transaction.layer);
      const result = fn(operation);
      operation.merge();
      transaction.afterCommit(() => this.tell(operation.notices));
      return result;
    });
  }

  /** As {@link write}, never in the caller's transaction. */
  async writeOutside<T>(fn: (operation: Operation) => T): Promise<T> {
    for (;;) {
      const operation = this.on(this.committed);
      const result = fn(operation);
      const { open } = this;
      if (open === undefined || !open.meets(operation)) {
        operation.merge();
        this.tell(operation.notices);
        return result;
      }
      await open.over;
    }
  }

  /** @see WorkflowBackend.transaction */
  async transaction<T>(fn: () => Promise<T>): Promise<T> {
    const outer = this.ambient.getStore();
    if (outer !== undefined) {
      return outer.inTurn(() => this.run(new MemoryTransaction(this.committed, outer), fn));
    }
    const transaction = new MemoryTransaction(this.committed);
    const result = await this.mutex.run('', async () => {
      this.open = transaction;
      try {
        return await this.run(transaction, fn);
      } finally {
        this.open = undefined;
      }
    });
    for (const work of transaction.takeAfterCommit()) this.runAfterCommit(work);
    return result;
  }

  /** @see WorkflowBackend.afterCommit */
  afterCommit(fn: () => void): void {
    const transaction = this.ambient.getStore();
    if (transaction === undefined) fn();
    else transaction.afterCommit(fn);
  }

  private on(layer: RowLayer): Operation {
    const { open } = this;
    return new Operation(
      layer,
      this.clock.now(),
      this.sequences,
      // What the caller's own transaction has written is no obstacle to it.
      layer === this.committed ? (table, key) => open?.holds(table, key) ?? false : () => false,
    );
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
