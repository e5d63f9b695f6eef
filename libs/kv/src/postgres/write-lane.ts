import { Coalescer } from '@nestbox/core';
import { isDataError } from '@nestbox/postgres';
import {
  isPlainDelete,
  isPlainSet,
  type Outcome,
  type PlainSet,
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

/** Operations on one key that go together: one, or increments that were made while it waited. */
interface Group {
  readonly key: string;
  readonly operations: WriteOperation[];
  readonly chars: number;
}

/** Increments of one key that one statement makes at the most. */
const MAX_INCREMENTS = 200;

/** Sends concurrent writes of single keys together, in call order per key. */
export class WriteLane {
  private readonly coalescer: Coalescer<Group, Outcome[]>;
  /** The last group of a key, while it waits and consists of increments, and its outcomes. */
  private readonly increments = new Map<string, { group: Group; outcomes: Promise<Outcome[]> }>();
  /** Whether changes were logged when we last heard of it; then there is no use in trying without. */
  private logging = false;

  constructor(private readonly options: WriteLaneOptions) {
    this.coalescer = new Coalescer<Group, Outcome[]>({
      name: options.name,
      key: (group) => group.key,
      size: (group) => group.chars,
      isDataError,
      flush: (groups) => this.flush(groups),
    });
  }

  async run(operation: WriteOperation): Promise<Outcome> {
    const { key } = operation;
    if (operation.type === 'increment') return this.increment(operation);
    // Later increments must come after this.
    if (this.increments.size > 0) this.increments.delete(key);
    const chars = key.length + (operation.type === 'set' ? operation.json.length : 0);
    const outcomes = await this.coalescer.run({ key, operations: [operation], chars });
    return outcomes[0]!;
  }

  /** Sends one operation by itself, as a transaction wants it: with statements that fail for nobody else's sake. */
  async runAlone(operation: WriteOperation): Promise<Outcome> {
    const outcomes = await this.send([operation], false);
    return outcomes[0]!;
  }

  close(): Promise<void> {
    return this.coalescer.close();
  }

  private async increment(operation: WriteOperation): Promise<Outcome> {
    const { key } = operation;
    let waiting = this.increments.get(key);
    if (waiting === undefined || waiting.group.operations.length >= MAX_INCREMENTS) {
      const group: Group = { key, operations: [], chars: key.length };
      waiting = { group, outcomes: this.coalescer.run(group) };
      this.increments.set(key, waiting);
    }
    const index = waiting.group.operations.push(operation) - 1;
    const outcomes = await waiting.outcomes;
    return outcomes[index]!;
  }

  private flush(groups: Group[]): Promise<Outcome[][]> {
    if (this.increments.size > 0) this.closeGroups(groups);
    const { operations } = groups[0]!;
    return groups.length === 1 ? this.flushOne(operations) : this.flushAll(groups);
  }

  /** What is sent takes no more increments. */
  private closeGroups(groups: Group[]): void {
    for (const group of groups) {
      if (this.increments.get(group.key)?.group === group) this.increments.delete(group.key);
    }
  }

  private async flushAll(groups: Group[]): Promise<Outcome[][]> {
    const outcomes = await this.send(groups.flatMap(({ operations }) => operations));
    let next = 0;
    return groups.map(({ operations }) => outcomes.slice(next, (next += operations.length)));
  }

  private async flushOne(operations: WriteOperation[]): Promise<Outcome[][]> {
    return [await (operations.length === 1 ? this.send(operations) : this.sendSeparable(operations))];
  }

  /** When one of several operations on a key has bad data, only that one fails. */
  private async sendSeparable(operations: WriteOperation[]): Promise<Outcome[]> {
    try {
      return await this.send(operations);
    } catch (error) {
      if (!isDataError(error)) throw error;
    }
    const outcomes: Outcome[] = [];
    for (const operation of operations) {
      outcomes.push(
        ...(await this.send([operation]).catch((error: unknown) => [{ type: 'failed' as const, error }])),
      );
    }
    return outcomes;
  }

  private async send(operations: WriteOperation[], mayBeQuick = true): Promise<Outcome[]> {
    const { run, statements, keepStates } = this.options;
    const [first] = operations;
    if (operations.length === 1 && keepStates === 0 && isPlainSet(first!)) {
      const version = this.heard(await run(() => statements.putOne(first)));
      return [{ type: 'done', version }];
    }
    if (operations.every(isPlainSet)) {
      const versions = await this.put(operations, mayBeQuick);
      return versions.map((version) => ({ type: 'done', version }));
    }
    if (operations.every(isPlainDelete)) {
      const keys = operations.map(({ key }) => key);
      const removed = this.heard(await run(() => statements.remove(keys, keepStates)));
      return removed.map((there) => ({ type: 'done', version: there ? UNTOLD : undefined }));
    }
    return this.heard(await run(() => statements.apply(operations, keepStates)));
  }

  private async put(entries: PlainSet[], mayBeQuick: boolean): Promise<bigint[]> {
    const { run, statements, keepStates } = this.options;
    if (mayBeQuick && keepStates === 0 && !this.logging) {
      try {
        const versions = await statements.quickPut(entries);
        if (versions !== undefined) return versions;
      } catch (error) {
        // A key was deleted meanwhile, and nothing was written; the other way copes with that.
        if ((error as { code?: unknown } | null)?.code !== '40001') throw error;
      }
    }
    return this.heard(await run(() => statements.put(entries, keepStates)));
  }

  private heard<T>({ result, logged }: Written<T>): T {
    this.logging = logged;
    if (logged) this.options.onLogged();
    return result;
  }
}

/** The version of a tombstone, which nobody asks for. */
const UNTOLD = 0n;
