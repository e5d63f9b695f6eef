import { InvalidArgumentError, assertName } from '@nestbox/core';
import type { EventStoreBackend, LogQuery } from '../event-store.backend.js';
import type { LogPage, LogRead, ReadAllOptions } from '../event-store.types.js';
import type { Event, ReadEvent } from '../event.types.js';
import { checkCount, checkLogPartition, checkPosition } from '../support/arguments.js';
import { operation } from '../support/operation.js';
import type { EventDecoder } from './read-event.js';

const PAGE = 1_000;

/** Reads the log. Nothing is read before it is awaited or iterated. */
export class EventLogRead<E extends Event> implements LogRead<E> {
  readonly [Symbol.toStringTag] = 'EventLogRead';
  private readonly query: Omit<LogQuery, 'upTo' | 'limit'>;
  private readonly limit: number | undefined;
  private page: Promise<LogPage<E>> | undefined;

  /**
   * @param ready opens the store
   * @throws InvalidArgumentError
   */
  constructor(
    private readonly backend: EventStoreBackend,
    private readonly decoder: EventDecoder,
    private readonly options: ReadAllOptions,
    private readonly ready: () => Promise<void>,
  ) {
    const { after = 0n, types, category, limit, partition } = options;
    if (types !== undefined) checkTypes(types);
    if (category !== undefined) assertName(category, 'category');
    this.limit = limit === undefined ? undefined : checkCount(limit, 'limit');
    this.query = {
      after: checkPosition(after, 'after'),
      partition: checkLogPartition(partition),
      types,
      category,
      shard: undefined,
    };
  }

  // oxlint-disable-next-line unicorn/no-thenable -- It is a promise, which has its page read when it is awaited.
  then<A = LogPage<E>, B = never>(
    onFulfilled?: ((page: LogPage<E>) => A | PromiseLike<A>) | null,
    onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return settle(this.first(), onFulfilled, onRejected);
  }

  catch<B = never>(onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null): Promise<LogPage<E> | B> {
    return this.then(undefined, onRejected);
  }

  async finally(onFinally?: (() => void) | null): Promise<LogPage<E>> {
    try {
      return await this.first();
    } finally {
      onFinally?.();
    }
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<ReadEvent<E>> {
    let { after } = this.query;
    let left = this.limit ?? Infinity;
    for (;;) {
      const limit = Math.min(PAGE, left);
      const { events, position, isEnd } = await this.read(after, limit);
      yield* events;
      left -= limit;
      if (isEnd || left <= 0) return;
      after = position;
    }
  }

  private first(): Promise<LogPage<E>> {
    this.page ??= this.read(this.query.after, this.limit ?? PAGE);
    return this.page;
  }

  private read(after: bigint, limit: number): Promise<LogPage<E>> {
    return operation('read the log', () => this.readPage(after, limit));
  }

  private async readPage(after: bigint, limit: number): Promise<LogPage<E>> {
    await this.ready();
    const upTo = await this.backend.watermark();
    // One more tells whether there are more.
    const found =
      upTo > after ? await this.backend.readLog({ ...this.query, after, upTo, limit: limit + 1 }) : [];
    const isEnd = found.length <= limit;
    const messages = isEnd ? found : found.slice(0, limit);
    // Not the watermark: after a crash of the server, positions that nobody has committed are drawn again.
    const position = messages.at(-1)?.globalPosition ?? after;
    return {
      events: this.decoder.decodeAll(messages, this.options.upcast) as ReadEvent<E>[],
      position,
      isEnd,
    };
  }
}

async function settle<P, A, B>(
  promise: Promise<P>,
  onFulfilled: ((value: P) => A | PromiseLike<A>) | null | undefined,
  onRejected: ((reason: unknown) => B | PromiseLike<B>) | null | undefined,
): Promise<A | B> {
  let value: P;
  try {
    value = await promise;
  } catch (error) {
    if (typeof onRejected === 'function') return onRejected(error);
    throw error;
  }
  // Without a function, the value itself is what the caller gets.
  return typeof onFulfilled === 'function' ? onFulfilled(value) : (value as P & A);
}

function checkTypes(types: unknown): void {
  if (!Array.isArray(types)) throw new InvalidArgumentError('types', 'must be an array of event types.');
  for (const [i, type] of types.entries()) assertName(type, `types[${i}]`);
}
