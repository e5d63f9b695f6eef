import { UnsupportedOperationError, backoffMs, compareUtf8 } from '@nestbox/core';
import { NotFoundError, ProjectionFailedError, RebuildInProgressError } from '../event-store.errors.js';
import type { LogQuery } from '../event-store.backend.js';
import type { Upcast } from '../event.types.js';
import type { Projection, ProjectionMode } from '../projections/projection.types.js';
import { TransactionContext } from '../projections/projection-context.js';
import { initProjection, runProjection, storedTypesOf, wantsDeleted } from '../projections/run-projection.js';
import { checkCount } from '../support/arguments.js';
import type { ConsumerHost } from './consumer.js';
import type { RebuildOptions } from './consumer.types.js';
import { ALL_PARTITIONS, type Fence, type ProcessorKey } from './processor.backend.js';
import { pause } from './pause.js';
import { RebuildMeter } from './rebuild-meter.js';

const LEASE_MS = 10_000;
/** How often the switch is tried when it and writers wait for each other. */
const SWITCH_ATTEMPTS = 60;
const SWITCH_PAUSE = { baseMs: 50, maxMs: 2_000 };
/** How often to catch up once more before the switch, should writers be faster. */
const CHASES = 20;

/** A projection, and how it is run. */
export interface RebuildTarget {
  readonly projection: Projection;
  readonly mode: ProjectionMode;
  readonly processorId: string;
  /** The one that its processor has beside its own. */
  readonly upcast: Upcast | undefined;
}

/**
 * Builds a projection anew beside the old one, and puts it in its place without losing or repeating an event.
 *
 * @returns how many events it has taken from the log
 */
export async function rebuildProjection(
  host: ConsumerHost,
  target: RebuildTarget,
  options: RebuildOptions = {},
): Promise<{ events: number }> {
  const { projection } = target;
  const { processors } = host.backend;
  const lease = await processors.tryLease(`rebuild:${projection.name}`, LEASE_MS);
  if (lease === undefined) throw new RebuildInProgressError(projection.name);
  try {
    const signals = [lease.signal, ...(options.signal === undefined ? [] : [options.signal])];
    return await new Rebuild(host, target, options, AbortSignal.any(signals), lease.fence).run();
  } finally {
    await lease.release();
  }
}

class Rebuild {
  private readonly batchSize: number;
  private readonly meter: RebuildMeter;
  /** All events up to here are in the shadow. */
  private position = 0n;

  constructor(
    private readonly host: ConsumerHost,
    private readonly target: RebuildTarget,
    { batchSize = 1_000, onProgress }: RebuildOptions,
    private readonly signal: AbortSignal,
    private readonly fence: Fence,
  ) {
    this.batchSize = checkCount(batchSize, 'batchSize');
    this.meter = new RebuildMeter(target.projection.name, onProgress);
  }

  async run(): Promise<{ events: number }> {
    const keys = await this.checkpoints();
    const tables = this.tables();
    if (tables.length === 0) return this.inPlace(keys);
    const { backend, codec } = this.host;
    const shadows = tables.map((name) => backend.documents.shadowName(name));
    try {
      await this.guarded(async () => {
        // What a rebuild that was killed has left.
        await backend.documents.drop(shadows);
        await initProjection(backend, codec, this.target.projection, 'shadow');
      });
      await this.build(keys);
      await this.switchOver(keys, tables);
    } catch (error) {
      await this.guarded(() => backend.documents.drop(shadows)).catch(() => undefined);
      throw error;
    }
    backend.notify();
    this.meter.end(this.position);
    return { events: this.meter.events };
  }

  /** In a transaction, and not while another instance is at it, as when this one hung for too long. */
  private guarded<R>(fn: () => Promise<R>): Promise<R> {
    const { backend } = this.host;
    return backend.transaction(async () => {
      await backend.processors.assertHeld(this.fence);
      return fn();
    });
  }

  private tables(): string[] {
    const { collections = [], tables = [] } = this.target.projection;
    return [...collections.map(({ name }) => name), ...tables].sort(compareUtf8);
  }

  /** The checkpoints of an async projection; none for one in the transaction of the append. */
  private async checkpoints(): Promise<ProcessorKey[]> {
    const { mode, processorId } = this.target;
    if (mode === 'inline') return [];
    const all = await this.host.backend.processors.list();
    const keys = all
      .filter((row) => row.processorId === processorId && row.shard === 0)
      .map(({ partition }) => ({ processorId, partition }));
    if (keys.length > 0) return keys;
    throw new NotFoundError(
      'processor',
      processorId,
      'No consumer has ever run it; start one, and it is built from the beginning.',
    );
  }

  private async build(keys: readonly ProcessorKey[]): Promise<void> {
    const { backend } = this.host;
    let before = Infinity;
    for (let chase = 0; chase < CHASES; chase++) {
      const upTo = await backend.watermark();
      const events = await this.fill(keys, upTo, () => backend.watermark());
      // Writers who are faster than this would have it chase them with ever longer stretches.
      if (events < this.batchSize || events >= before) return;
      before = events;
    }
  }

  /** Takes events from the log into the shadow, batch by batch. @returns how many */
  private async fill(
    keys: readonly ProcessorKey[],
    upTo: bigint,
    head: () => Promise<bigint>,
  ): Promise<number> {
    const { backend } = this.host;
    let count = 0;
    for (;;) {
      this.signal.throwIfAborted();
      const messages = await backend.readLog(this.query(keys, upTo));
      if (messages.length > 0) {
        const { projection, upcast } = this.target;
        const wanted = messages.filter(({ partition }) => isOf(keys, partition));
        const events = this.host.decoder.decodeAll(wanted, upcast);
        await this.guarded(() => runProjection(backend, this.host.codec, projection, events, 'shadow'));
        this.position = messages.at(-1)!.globalPosition;
        count += messages.length;
        this.meter.add(events.length);
        await this.meter.tell(this.position, head);
      }
      if (messages.length < this.batchSize) return count;
    }
  }

  private query(keys: readonly ProcessorKey[], upTo: bigint): LogQuery {
    const { projection, upcast } = this.target;
    const [only, ...others] = keys;
    const isOne = only !== undefined && others.length === 0 && only.partition !== ALL_PARTITIONS;
    return {
      after: this.position,
      upTo,
      limit: this.batchSize,
      partition: isOne ? only.partition : undefined,
      types: storedTypesOf(projection, this.host.decoder.isUpcast || upcast !== undefined),
      withDeleted: wantsDeleted(projection),
      category: undefined,
      shard: undefined,
    };
  }

  private async switchOver(keys: readonly ProcessorKey[], tables: readonly string[]): Promise<void> {
    const { backend } = this.host;
    const before = this.position;
    const { events } = this.meter;
    for (let attempt = 1; ; attempt++) {
      this.meter.switching(this.position);
      // Writers who take several tables in one order would wait in a circle with who takes them in the other.
      const ordered = attempt % 2 === 1 ? tables : tables.toReversed();
      try {
        await this.guarded(() =>
          keys.length === 0 ? this.switchInline(keys, ordered) : this.switchAsync(keys, ordered),
        );
        return;
      } catch (error) {
        const cause = error instanceof ProjectionFailedError ? error.cause : error;
        const mayPass = backend.isTransient(cause) || backend.isBusy(cause);
        if (attempt === SWITCH_ATTEMPTS || !mayPass) throw error;
        await pause(backoffMs(attempt, SWITCH_PAUSE), this.signal);
        this.position = before;
        this.meter.events = events;
      }
    }
  }

  /** While their checkpoints are locked, consumers change nothing; they go on behind what is in the new version. */
  private async switchAsync(keys: readonly ProcessorKey[], tables: readonly string[]): Promise<void> {
    const { backend } = this.host;
    for (const key of keys) await backend.processors.lock(key);
    await backend.documents.freeze(tables);
    await this.assertOnly(keys);
    const upTo = await backend.watermark();
    await this.fill(keys, upTo, () => Promise.resolve(upTo));
    const passed = await backend.head(upTo);
    // A writer that is late with its announcement lets the watermark fall behind what was taken already.
    if (passed > this.position) this.position = passed;
    await backend.documents.swap(tables);
    for (const key of keys) await this.reset(key, this.position);
  }

  /** What another partition's processor has written to the old version meanwhile is not in the new one. */
  private async assertOnly(keys: readonly ProcessorKey[]): Promise<void> {
    const others = (await this.checkpoints()).filter(({ partition }) => !isOf(keys, partition));
    if (others.length === 0) return;
    const { processorId, partition } = others[0]!;
    throw new UnsupportedOperationError(
      `Rebuilding a projection whose processor "${processorId}" has just been started for partition "${partition}"`,
      this.host.backend.kind,
      'Nothing was changed. Rebuild it again.',
    );
  }

  private async reset(key: ProcessorKey, position: bigint): Promise<void> {
    const { processors } = this.host.backend;
    await processors.reset(key, position);
    // The new version has what was parked, or gets it again.
    await processors.unparkAll(key);
  }

  /**
   * Whoever has written to the old version has committed once it is frozen, so his events can be seen; whoever has not
   * will write to the new one, and his events cannot be seen yet. Hence no watermark: all events that are there, and
   * none else, belong into the new version.
   */
  private async switchInline(keys: readonly ProcessorKey[], tables: readonly string[]): Promise<void> {
    const { backend } = this.host;
    await backend.documents.freeze(tables);
    const upTo = await backend.head();
    await this.fill(keys, upTo, () => Promise.resolve(upTo));
    await backend.documents.swap(tables);
  }

  /** What is in no table of the projection's own can only be emptied and made anew. */
  private async inPlace(keys: readonly ProcessorKey[]): Promise<{ events: number }> {
    const { projection, mode } = this.target;
    const { backend, codec } = this.host;
    if (projection.truncate === undefined) {
      throw new UnsupportedOperationError(
        `Rebuilding projection "${projection.name}"`,
        backend.kind,
        'It declares no collections or tables, and cannot truncate what it has made. Give it one of these.',
      );
    }
    if (mode === 'inline') {
      throw new UnsupportedOperationError(
        `Rebuilding inline projection "${projection.name}" in place`,
        backend.kind,
        'Writers would add to it meanwhile. Declare its tables, so that new ones can be filled beside them.',
      );
    }
    await this.guarded(async () => {
      for (const key of keys) await backend.processors.lock(key);
      for (const { partition } of keys) {
        await projection.truncate!(new TransactionContext(backend, codec, projection, partition, 'current'));
      }
      for (const key of keys) await this.reset(key, 0n);
    });
    backend.notify();
    this.meter.end(0n);
    return { events: 0 };
  }
}

function isOf(keys: readonly ProcessorKey[], partition: string): boolean {
  return (
    keys.length === 0 || keys.some((key) => key.partition === ALL_PARTITIONS || key.partition === partition)
  );
}
