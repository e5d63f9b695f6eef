import { Coalescer } from '@nestbox/core';
import { isDataError } from '@nestbox/postgres';
import {
  isPlainDelete,
  isPlainSet,
  type Increment,
  type Outcome,
  type WriteOperation,
} from './write-operations.js';
import type { WriteStatements, Written } from './write-statements.js';

export interface WriteLaneOptions {
  /** What to call it in errors. */
  name: string;
  statements: WriteStatements;
  /** How many states of each key the history keeps; 0 records none. */
  keepStates: number;
  /** Runs a statement, again where that is safe. */
  run: <R>(fn: () => Promise<R>) => Promise<R>;
  /** Called after changes were logged. */
  onLogged: () => void;
}

/** Increments of one key that were made while the first of them waited. */
interface Increments {
  readonly type: 'increments';
  readonly key: string;
  readonly all: Increment[];
}

type Item = Exclude<WriteOperation, Increment> | Increments;

/** A statement and its commit cost about as much as so many items. */
const WORTHWHILE_ITEMS = 64;

/** Increments of one key that one statement makes at the most. */
const MAX_INCREMENTS = 200;

/** Sends concurrent writes of single keys together, in call order per key. */
export class WriteLane {
  /** Gives a list for `Increments`, and one outcome for all else. */
  private readonly coalescer: Coalescer<Item, Outcome | Outcome[]>;
  /** The write under way that was made while nothing else was, and what waits for it. */
  private lone: { readonly key: string; readonly behind: (() => void)[] } | undefined;
  /** The last item of a key, while it waits and consists of increments. */
  private readonly waiting = new Map<string, { item: Increments; outcomes: Promise<Outcome | Outcome[]> }>();

  constructor(private readonly options: WriteLaneOptions) {
    this.coalescer = new Coalescer<Item, Outcome | Outcome[]>({
      name: options.name,
      key: (item) => item.key,
      size: (item) => item.key.length + (item.type === 'set' ? item.json.length : 0),
      worthwhileItems: WORTHWHILE_ITEMS,
      isDataError,
      flush: (items) => this.flush(items),
    });
  }

  run(operation: WriteOperation): Promise<Outcome> {
    if (operation.type === 'increment') return this.increment(operation);
    // Later increments must come after this.
    if (this.waiting.size > 0) this.waiting.delete(operation.key);
    // A lone call gains nothing from going with others.
    if (this.lone === undefined && this.coalescer.isIdle) return this.runLone(operation);
    return this.enqueue(operation) as Promise<Outcome>;
  }

  /** Sends one operation by itself, at once. */
  async runAlone(operation: WriteOperation): Promise<Outcome> {
    const [outcome] = await this.send([operation]);
    return outcome!;
  }

  async close(): Promise<void> {
    const { lone } = this;
    if (lone !== undefined) await new Promise<void>((resolve) => lone.behind.push(resolve));
    await this.coalescer.close();
  }

  private async runLone(operation: WriteOperation): Promise<Outcome> {
    const behind: (() => void)[] = [];
    this.lone = { key: operation.key, behind };
    try {
      const [outcome] = await this.send([operation]);
      return outcome!;
    } finally {
      this.lone = undefined;
      for (const go of behind) go();
    }
  }

  /** Hands an item to the coalescer, after the lone write of its key where there is one. */
  private enqueue(item: Item): Promise<Outcome | Outcome[]> {
    const { lone } = this;
    if (lone === undefined || lone.key !== item.key) return this.coalescer.run(item);
    return new Promise((resolve, reject) => {
      lone.behind.push(() => void this.coalescer.run(item).then(resolve, reject));
    });
  }

  private async increment(operation: Increment): Promise<Outcome> {
    const { key } = operation;
    let waiting = this.waiting.get(key);
    if (waiting === undefined || waiting.item.all.length >= MAX_INCREMENTS) {
      const item: Increments = { type: 'increments', key, all: [] };
      waiting = { item, outcomes: this.enqueue(item) };
      this.waiting.set(key, waiting);
    }
    const index = waiting.item.all.push(operation) - 1;
    const outcomes = (await waiting.outcomes) as Outcome[];
    return outcomes[index]!;
  }

  private async flush(items: Item[]): Promise<(Outcome | Outcome[])[]> {
    let hasIncrements = false;
    for (const item of items) {
      if (item.type !== 'increments') continue;
      hasIncrements = true;
      // What is sent takes no more of them.
      if (this.waiting.get(item.key)?.item === item) this.waiting.delete(item.key);
    }
    if (!hasIncrements) return this.send(items as Exclude<Item, Increments>[]);
    const first = items[0]!;
    if (items.length === 1 && first.type === 'increments') return [await this.sendSeparable(first.all)];
    const outcomes = await this.send(
      items.flatMap((item): WriteOperation[] => (item.type === 'increments' ? item.all : [item])),
    );
    let next = 0;
    return items.map((item) =>
      item.type === 'increments' ? outcomes.slice(next, (next += item.all.length)) : outcomes[next++]!,
    );
  }

  /** When one of several operations on a key has bad data, only that one fails. */
  private async sendSeparable(operations: WriteOperation[]): Promise<Outcome[]> {
    try {
      return await this.send(operations);
    } catch (error) {
      if (operations.length === 1 || !isDataError(error)) throw error;
    }
    const outcomes: Outcome[] = [];
    for (const operation of operations) {
      const alone = this.send([operation]).catch((error: unknown) => [{ type: 'failed' as const, error }]);
      outcomes.push(...(await alone));
    }
    return outcomes;
  }

  private async send(operations: WriteOperation[]): Promise<Outcome[]> {
    const { run, statements, keepStates } = this.options;
    if (operations.every(isPlainSet)) {
      if (operations.length === 1 && keepStates === 0) {
        return [{ type: 'done', version: this.heard(await run(() => statements.putOne(operations[0]!))) }];
      }
      const versions = this.heard(await run(() => statements.put(operations, keepStates)));
      return versions.map((version) => ({ type: 'done', version }));
    }
    if (operations.every(isPlainDelete)) {
      const keys = operations.map(({ key }) => key);
      const removed = this.heard(await run(() => statements.remove(keys, keepStates)));
      return removed.map((there) => ({ type: 'done', version: there ? UNTOLD : undefined }));
    }
    return this.heard(await run(() => statements.apply(operations, keepStates)));
  }

  private heard<T>({ result, logged }: Written<T>): T {
    if (logged) this.options.onLogged();
    return result;
  }
}

/** The version of a tombstone, which nobody asks for. */
const UNTOLD = 0n;
