import { RowLayer, type RowTable } from '@nestbox/core';
import { TransactionClosedError } from '@nestbox/postgres';

/** A transaction or a savepoint in one. What is called in it happens one after the other. */
export class MemoryTransaction {
  readonly layer: RowLayer;
  /** Resolves when it is committed or rolled back. */
  readonly over: Promise<void>;
  private settle!: () => void;
  private state: 'open' | 'committed' | 'rolled back' = 'open';
  /** No new call is taken any more; those made before still run. */
  private ending = false;
  private tail: Promise<void> = Promise.resolve();
  private afterCommitFns: (() => void)[] = [];
  private savepoint: MemoryTransaction | undefined;

  /** @param parent undefined for a transaction, which is on top of what is committed */
  constructor(
    committed: RowLayer,
    private readonly parent?: MemoryTransaction,
  ) {
    this.layer = new RowLayer(parent?.layer ?? committed);
    this.over = new Promise((resolve) => (this.settle = resolve));
    if (parent !== undefined) parent.savepoint = this;
  }

  /** @throws TransactionClosedError */
  inTurn<T>(operation: () => T | Promise<T>): Promise<T> {
    if (this.ending) return Promise.reject(this.closedError());
    const result = this.tail.then(() => {
      this.assertUsable();
      return operation();
    });
    this.tail = result.then(noop, noop);
    return result;
  }

  /** Runs after the commit of the outermost transaction. @throws TransactionClosedError */
  afterCommit(fn: () => void): void {
    this.assertUsable();
    this.afterCommitFns.push(fn);
  }

  /** Whether this or a savepoint in it has written the row, so that nobody else may until it is over. */
  holds<Row>(table: RowTable<Row>, key: string): boolean {
    if (this.state !== 'open') return false;
    return this.layer.holds(table, key) || (this.savepoint?.holds(table, key) ?? false);
  }

  /** Whether a layer has written a row that this {@link holds}. */
  meets(other: RowLayer): boolean {
    if (this.state !== 'open') return false;
    return this.layer.meets(other) || (this.savepoint?.meets(other) ?? false);
  }

  /** Waits for what was called and not awaited, then gives all to the layer below. */
  async commit(): Promise<void> {
    this.ending = true;
    await this.tail;
    this.assertUsable();
    this.layer.merge();
    this.parent?.afterCommitFns.push(...this.takeAfterCommit());
    this.end('committed');
  }

  /** Nothing that is called in it does anything from now on. */
  rollback(): void {
    this.ending = true;
    this.end('rolled back');
  }

  /** What was registered, in order. */
  takeAfterCommit(): (() => void)[] {
    return this.afterCommitFns.splice(0);
  }

  private end(state: 'committed' | 'rolled back'): void {
    this.state = state;
    if (this.parent !== undefined) this.parent.savepoint = undefined;
    this.settle();
  }

  private assertUsable(): void {
    if (this.state !== 'open') throw this.closedError();
    this.parent?.assertUsable();
  }

  private closedError(): TransactionClosedError {
    const what = this.parent === undefined ? 'transaction' : 'savepoint';
    return new TransactionClosedError(
      this.state === 'open' ? 'committed' : this.state,
      `This ${what} is over. Await everything that belongs to it before its function returns.`,
    );
  }
}

function noop(): void {
  // The failure is its caller's.
}
