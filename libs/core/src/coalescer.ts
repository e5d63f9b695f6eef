import { ClosedError, InvalidArgumentError, OverloadedError } from './errors.js';
import { Fifo } from './fifo.js';
import { runInRootScope } from './root-scope.js';

/** How a {@link Coalescer} sends, and when it has to wait. */
export interface CoalescerOptions<Item, Result> {
  /** What to call this coalescer in errors. */
  name: string;
  /**
   * Sends a batch in one go and resolves to one result per item, in the same order. A rejection is every item's,
   * unless {@link isDataError} says that one item's data caused it.
   */
  flush(items: Item[]): Promise<readonly Result[]>;
  /** Items with the same key never meet in a batch nor in two batches at once, and keep their call order. */
  key?(item: Item): string | undefined;
  /** The size of an item in bytes, for {@link maxBytes}. Default: 0. */
  size?(item: Item): number;
  /**
   * Whether a batch failed because of some item's data, and nothing of it took effect. Such a batch is split in
   * halves until the culprits stand alone. Default: never.
   */
  isDataError?(error: unknown): boolean;
  /** Items in a batch at the most. Default: 500. */
  maxItems?: number;
  /** Bytes in a batch at the most; a larger item goes alone. Default: 1,048,576 (1 MiB). */
  maxBytes?: number;
  /** Batches under way at the same time. Default: 2. */
  maxInFlight?: number;
  /**
   * For backends where a batch costs much and an item little: while a batch of more than a few items is under way, a
   * second one waits until it has so many, or until the first has landed and those whose calls it answered had the
   * chance to call again. Default: 1, which is never to wait.
   */
  worthwhileItems?: number;
  /** Calls that may wait; one more is refused with `OverloadedError`. Default: 100,000. */
  maxWaiting?: number;
}

/** A batch of so many items at the most does not keep another one waiting. */
const FEW_ITEMS = 8;

interface Call<Item, Result> {
  item: Item;
  key: string | undefined;
  size: number;
  /** The call to make ready when this one is settled: the next with the same key. */
  behind: Call<Item, Result> | undefined;
  resolve(result: Result): void;
  reject(error: unknown): void;
}

/**
 * Turns concurrent single calls into few statements. While two batches are under way, new calls wait and then go
 * together; an idle coalescer sends at once (at the end of the current microtask, so that calls of one
 * `Promise.all` share a batch). Every call is settled exactly once.
 */
export class Coalescer<Item, Result> {
  private readonly maxItems: number;
  private readonly maxBytes: number;
  private readonly maxInFlight: number;
  private readonly maxWaiting: number;
  private readonly worthwhileItems: number;

  /** Calls that the next batches take, oldest first; no two have the same key. */
  private readonly ready = new Fifo<Call<Item, Result>>();
  /**
   * For every key that is ready or under way, the last call with it. Those between are not in `ready` but hang one
   * behind the other, so that a hot key costs neither a rescan of all that wait nor the shifting of a long array.
   */
  private readonly lastOfKey = new Map<string, Call<Item, Result>>();
  private waiting = 0;
  private inFlight = 0;
  private itemsInFlight = 0;
  private pumpQueued = false;
  private closing: Promise<void> | undefined;
  private whenIdle: (() => void) | undefined;

  constructor(private readonly options: CoalescerOptions<Item, Result>) {
    this.maxItems = positive(options.maxItems, 500, 'maxItems');
    this.maxBytes = positive(options.maxBytes, 1_048_576, 'maxBytes');
    this.maxInFlight = positive(options.maxInFlight, 2, 'maxInFlight');
    this.maxWaiting = positive(options.maxWaiting, 100_000, 'maxWaiting');
    this.worthwhileItems = positive(options.worthwhileItems, 1, 'worthwhileItems');
  }

  /** Calls that wait for a batch, those under way not counted. */
  get waitingCount(): number {
    return this.waiting;
  }

  /** Whether no call waits or is under way, nor has just been answered. */
  get isIdle(): boolean {
    return this.inFlight === 0 && this.waiting === 0 && !this.pumpQueued;
  }

  /**
   * Sends one item with the next batch.
   *
   * @throws ClosedError after {@link close}; OverloadedError when `maxWaiting` calls wait already
   */
  run(item: Item): Promise<Result> {
    if (this.closing !== undefined) return Promise.reject(new ClosedError(this.options.name));
    if (this.waiting >= this.maxWaiting) {
      return Promise.reject(new OverloadedError(this.options.name, this.maxWaiting));
    }
    // What `key` or `size` throws rejects the promise.
    return new Promise<Result>((resolve, reject) => {
      const key = this.options.key?.(item);
      const size = this.options.size?.(item) ?? 0;
      if (!(size >= 0)) throw new InvalidArgumentError('size', `${size} must be at least 0.`);
      this.enqueue({ item, key, size, behind: undefined, resolve, reject });
    });
  }

  /**
   * Refuses new calls, and resolves when every call made before has been settled; never rejects. May be called
   * twice. How long it takes is up to `flush`, which has to end.
   */
  close(): Promise<void> {
    this.closing ??= new Promise<void>((resolve) => {
      this.whenIdle = resolve;
      this.resolveWhenIdle();
    });
    return this.closing;
  }

  private enqueue(call: Call<Item, Result>): void {
    this.waiting++;
    if (call.key !== undefined) {
      const last = this.lastOfKey.get(call.key);
      this.lastOfKey.set(call.key, call);
      if (last !== undefined) {
        last.behind = call;
        return;
      }
    }
    this.ready.push(call);
    this.queuePump();
  }

  private queuePump(): void {
    if (this.pumpQueued || this.inFlight >= this.maxInFlight) return;
    this.pumpQueued = true;
    runInRootScope(() => queueMicrotask(() => this.pump()));
  }

  /** Lets those who have just been answered call again before the next batch goes. */
  private queuePumpAfterCallers(): void {
    if (this.pumpQueued) return;
    this.pumpQueued = true;
    runInRootScope(() =>
      setImmediate(() => {
        this.pump();
        this.resolveWhenIdle();
      }),
    );
  }

  private pump(): void {
    this.pumpQueued = false;
    while (this.inFlight < this.maxInFlight && this.isWorthwhile()) {
      const batch = this.takeBatch();
      if (batch.length === 0) return;
      this.inFlight++;
      this.itemsInFlight += batch.length;
      // `fly` settles its calls itself and never rejects.
      void this.fly(batch);
    }
  }

  /** The oldest calls that fit together. */
  private takeBatch(): Call<Item, Result>[] {
    const batch: Call<Item, Result>[] = [];
    let bytes = 0;
    let call = this.ready.peek();
    while (call !== undefined && batch.length < this.maxItems) {
      if (batch.length > 0 && bytes + call.size > this.maxBytes) break;
      bytes += call.size;
      batch.push(call);
      this.ready.shift();
      call = this.ready.peek();
    }
    this.waiting -= batch.length;
    return batch;
  }

  private async fly(batch: Call<Item, Result>[]): Promise<void> {
    await this.send(batch);
    for (const call of batch) this.makeNextReady(call);
    this.inFlight--;
    this.itemsInFlight -= batch.length;
    if (this.worthwhileItems > 1 && this.inFlight === 0) this.queuePumpAfterCallers();
    else if (this.ready.length > 0) this.queuePump();
    else this.resolveWhenIdle();
  }

  /** Whether a batch may go now. */
  private isWorthwhile(): boolean {
    return this.itemsInFlight <= FEW_ITEMS || this.ready.length >= this.worthwhileItems;
  }

  private makeNextReady(call: Call<Item, Result>): void {
    const { key, behind } = call;
    if (behind !== undefined) this.ready.push(behind);
    else if (key !== undefined) this.lastOfKey.delete(key);
    // Else a settled call that grew old keeps all the later ones from an early garbage collection.
    call.behind = undefined;
  }

  /** Settles every call of the batch, whatever happens. */
  private async send(batch: Call<Item, Result>[]): Promise<void> {
    let results: readonly Result[];
    try {
      results = await this.options.flush(batch.map((call) => call.item));
    } catch (error) {
      if (batch.length > 1 && this.isDataError(error)) {
        const middle = batch.length >> 1;
        await this.send(batch.slice(0, middle));
        await this.send(batch.slice(middle));
      } else {
        for (const call of batch) call.reject(error);
      }
      return;
    }
    if ((results as readonly Result[] | undefined)?.length === batch.length) {
      batch.forEach((call, i) => call.resolve(results[i]!));
    } else {
      // A bug of `flush`, after which nobody can tell whose result is whose; and the batch may have taken effect.
      const error = new Error(`${this.options.name}: flush must give ${batch.length} results, one per item.`);
      for (const call of batch) call.reject(error);
    }
  }

  private isDataError(error: unknown): boolean {
    try {
      return this.options.isDataError?.(error) ?? false;
    } catch {
      // A classifier that throws must not leave the calls unsettled.
      return false;
    }
  }

  private resolveWhenIdle(): void {
    if (this.inFlight === 0 && this.waiting === 0) this.whenIdle?.();
  }
}

function positive(value: number | undefined, fallback: number, name: string): number {
  if (value === undefined) return fallback;
  if (!Number.isSafeInteger(value) || value < 1) {
    throw new InvalidArgumentError(name, `${value} must be a whole number of at least 1.`);
  }
  return value;
}
