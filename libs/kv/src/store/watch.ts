import { InvalidArgumentError, runInRootScope } from '@nestbox/core';
import { assertBound, assertVersion } from '../adapter-support.js';
import type { ChangeFeed, StoredChange } from '../kv.adapter.js';
import type { StoreContext } from './store-context.js';
import type { Change, WatchOptions } from '../kv.types.js';

/**
 * Changes as they are made: `for await (const change of watch)`. It reads on only as fast as it is read from.
 *
 * @throws RevisionTrimmedError when changes that it has not given yet are no longer kept; ClosedError when the store
 *   is closed
 */
export interface Watch<V> extends AsyncIterable<Change<V>> {
  /** Resolves once the watch is open; rejects when it cannot be opened, as the iterator does. */
  readonly ready: Promise<void>;
  /** Ends the watch, also one that is being read. */
  close(): Promise<void>;
}

/** Opens a watch, and lets the store's writes wait until it is open. */
export function watch<V>(context: StoreContext, options: WatchOptions): Watch<V> {
  const { prefix, key, fromRevision, signal } = options;
  if (prefix !== undefined && key !== undefined) {
    throw new InvalidArgumentError('key', 'cannot be given together with prefix.');
  }
  assertBound(prefix, 'prefix');
  if (fromRevision !== undefined) assertVersion(fromRevision, 'fromRevision');
  const outerKey = key === undefined ? undefined : context.space.outer(key);
  const started = new StartedWatch<V>(
    context,
    outerKey ?? context.space.prefix + (prefix ?? ''),
    outerKey,
    fromRevision,
  );
  started.endOn(signal);
  return started;
}

class StartedWatch<V> implements Watch<V> {
  readonly ready: Promise<void>;
  private readonly opening: Promise<ChangeFeed>;
  private ended = false;
  private readonly end: Promise<void>;
  private resolveEnd!: () => void;
  private stopListening: (() => void) | undefined;
  private readonly changes: AsyncGenerator<Change<V>, void, undefined>;

  constructor(
    private readonly context: StoreContext,
    prefix: string,
    private readonly key: string | undefined,
    fromRevision: bigint | undefined,
  ) {
    const { adapter, shared } = context;
    this.end = new Promise((resolve) => (this.resolveEnd = resolve));
    // It outlives the caller's transaction and must not see what that has not committed.
    this.opening = runInRootScope(async () => adapter.openFeed({ prefix, fromRevision }));
    this.ready = this.opening.then(() => undefined);
    // Whoever does not wait for `ready` hears of a failure from the iterator.
    const starting = this.ready.catch(() => undefined).finally(() => shared.startingWatches.delete(starting));
    shared.startingWatches.add(starting);
    this.changes = this.read();
  }

  [Symbol.asyncIterator](): AsyncIterator<Change<V>, void, undefined> {
    return {
      next: () => this.changes.next(),
      // A generator would first wait for the change that it is waiting for.
      return: async () => {
        await this.close();
        return { done: true, value: undefined };
      },
    };
  }

  async close(): Promise<void> {
    this.ended = true;
    this.resolveEnd();
    this.stopListening?.();
    // A feed that could not be opened need not be closed.
    const feed = await this.opening.catch(() => undefined);
    await feed?.close();
  }

  /** Ends the watch when the signal aborts. */
  endOn(signal: AbortSignal | undefined): void {
    if (signal === undefined) return;
    // Nobody waits for the end of a watch that was aborted; a failure to close it is the backend's own matter.
    const onAbort = (): void => void this.close().catch(() => undefined);
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
    this.stopListening = () => signal.removeEventListener('abort', onAbort);
  }

  private async *read(): AsyncGenerator<Change<V>, void, undefined> {
    try {
      // A backend that does not answer must not keep a watch alive that has ended.
      const feed = await Promise.race([this.opening, this.end]);
      while (feed !== undefined) {
        const changes = await this.next(feed);
        if (changes === undefined) return;
        for (const change of changes) {
          if (this.ended) return;
          if (this.key === undefined || change.key === this.key) yield this.toChange(change);
        }
      }
    } catch (error) {
      if (!this.ended) throw error;
    } finally {
      if (!this.ended) await this.close();
    }
  }

  /** The next changes; undefined once the watch has ended. */
  private async next(feed: ChangeFeed): Promise<StoredChange[] | undefined> {
    if (this.ended) return undefined;
    const changes = await runInRootScope(() => feed.read());
    return this.ended ? undefined : changes;
  }

  private toChange({ type, key, value, version, revision, at, expired }: StoredChange): Change<V> {
    const common = { key: this.context.space.local(key), version, revision, at };
    return type === 'set' ? { type, ...common, value: value as V } : { type, ...common, expired };
  }
}
