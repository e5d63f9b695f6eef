import { backoffMs, messageOf } from '@nestbox/core';
import { Logger } from '@nestjs/common';
import type { EventStoreBackend, LogQuery } from '../event-store.backend.js';
import { BatchRunner, CheckpointMovedError } from './batch-runner.js';
import type { EventWork } from './event-work.js';
import type { LogBounds, LogHead } from './log-head.js';
import {
  ALL_PARTITIONS,
  type Checkpoint,
  type ProcessorKey,
  type ProcessorLease,
} from './processor.backend.js';
import type { ProcessorSettings } from './processor-options.js';
import { pause } from './pause.js';
import type { ShardQuota } from './shard-quota.js';
import { Wake } from './wake.js';

const logger = new Logger('NestboxEventStore');

/** Between tries when the backend cannot be reached. */
export const RECOVERY = { baseMs: 100, maxMs: 5_000 };
/** While an open transaction hides events that are there: how soon to look again. */
const GAP = { baseMs: 4, maxMs: 200 };
/** How often a checkpoint moves on over events that the processor does not handle. */
const SKIP_SAVE_MS = 250;
const REPLAYS_AT_ONCE = 100;

/** What a runner shares with the others of its consumer. */
export interface RunnerSurroundings {
  readonly backend: EventStoreBackend;
  readonly head: LogHead;
  /** Aborts when no further message shall be handled. */
  readonly stopping: AbortSignal;
  /** Aborts when a handler that still runs shall give up. */
  readonly aborting: AbortSignal;
}

/** Why a runner has come to its end. */
export type RunnerEnd = 'stopped' | 'resharded';

/** What a step has left: there may be more at once; nothing; or the processor came to a halt. */
type Progress = 'more' | 'all' | 'halted';

/** Handles the events of one shard of a processor, while it has the lease. */
export class ShardRunner {
  /** All events up to here are handled; may be ahead of the checkpoint where there was nothing to handle. */
  private position = 0n;
  isActive = false;
  /** Whether a handler has asked for the processor to end. */
  hasStopped = false;
  private readonly wakeup = new Wake();
  /** The position of the checkpoint. */
  private saved = 0n;
  private savedAt = -Infinity;
  private failures = 0;
  private gaps = 0;

  /** @param onProgress called when the position or the status may have changed */
  constructor(
    private readonly around: RunnerSurroundings,
    private readonly settings: ProcessorSettings,
    private readonly work: EventWork,
    private readonly key: ProcessorKey,
    readonly shard: number,
    private readonly shards: number,
    private readonly onProgress: () => void,
  ) {
    around.stopping.addEventListener('abort', () => this.wake());
  }

  wake(): void {
    this.wakeup.wake();
  }

  /** Never rejects. Until it is stopped, it goes on after whatever happens. */
  async run(quota: ShardQuota): Promise<RunnerEnd> {
    const { stopping } = this.around;
    while (!stopping.aborted) {
      try {
        if (await this.runLeased(quota)) return 'resharded';
      } catch (error) {
        if (!stopping.aborted) await this.pauseAfter(error);
      }
    }
    return 'stopped';
  }

  /** Whether it has handled all up to a position, given where its checkpoint is. */
  covers(target: bigint, checkpoint: bigint): boolean {
    if (this.hasStopped) return true;
    // Else the checkpoint was reset, which the runner does not know yet.
    return this.isActive && this.saved === checkpoint && this.position >= target;
  }

  /**
   * Handles events up to a position; for a change of the number of shards.
   *
   * @returns false when the processor came to a halt before
   */
  async runUpTo(target: bigint, lease: ProcessorLease): Promise<boolean> {
    const batches = this.batches(lease);
    const checkpoint = await this.load();
    while (this.position < target) {
      if (checkpoint?.status !== 'active' || this.around.stopping.aborted) return false;
      const { upTo } = await this.around.head.read();
      const progress = await this.step(batches, upTo < target ? upTo : target);
      if (progress === 'halted') return false;
      // The event at the target itself may have been deleted.
      if (progress === 'all' && upTo >= target) return true;
    }
    return true;
  }

  /** Saves that all events up to a position are handled. @throws CheckpointMovedError; LeaseExpiredError */
  async settle(target: bigint, lease: ProcessorLease): Promise<void> {
    await this.batches(lease).skip(this.saved, target);
  }

  /** The lease if nobody has it. */
  tryLease(): Promise<ProcessorLease | undefined> {
    return this.around.backend.processors.tryLease(this.leaseName, this.settings.leaseMs);
  }

  private get leaseName(): string {
    const { processorId, partition } = this.key;
    return `${partition}:${this.shard}/${this.shards}:${processorId}`;
  }

  /** @returns true when the number of shards was changed */
  private async runLeased(quota: ShardQuota): Promise<boolean> {
    const { processors } = this.around.backend;
    await quota.room(this.around.stopping);
    const lease = await processors.lease(this.leaseName, this.settings.leaseMs, this.around.stopping);
    // Else it would stand by for the next holder only once it is woken for an event.
    lease.signal.addEventListener('abort', () => this.wake());
    quota.take();
    let isCounted = true;
    try {
      this.isActive = true;
      this.onProgress();
      const batches = this.batches(lease);
      while (!this.around.stopping.aborted && lease.held && !this.hasStopped) {
        const idle = await this.look(batches).catch((error: unknown) => this.recover(error, lease));
        if (idle === 'resharded') return true;
        this.onProgress();
        if (quota.giveIfTooMany()) {
          isCounted = false;
          break;
        }
        if (idle !== 'now') await this.wakeup.wait(idle);
      }
      if (this.hasStopped) await this.rest();
      // So that nobody takes it for being behind while it is down.
      else if (lease.held && this.position !== this.saved) await batches.skip(this.saved, this.position);
    } finally {
      this.isActive = false;
      if (isCounted) quota.give();
      this.onProgress();
      await lease.release();
    }
    return false;
  }

  /** @returns for how long there is nothing to do, in ms */
  private async look(batches: BatchRunner): Promise<number | 'now' | 'resharded'> {
    const [checkpoint, bounds] = await Promise.all([this.load(), this.around.head.read()]);
    if (checkpoint === undefined || checkpoint.shards !== this.shards) return 'resharded';
    const idle = await this.round(checkpoint, bounds, batches);
    this.failures = 0;
    return idle;
  }

  private batches(lease: ProcessorLease): BatchRunner {
    return new BatchRunner(this.around, this.settings, this.work, { ...this.key, shard: this.shard }, lease);
  }

  private async round(
    checkpoint: Checkpoint,
    { upTo, head }: LogBounds,
    batches: BatchRunner,
  ): Promise<number | 'now'> {
    if (checkpoint.status !== 'active') return Infinity;
    const wantsReplay = checkpoint.wantsReplay && this.shard === 0;
    const replaysMore = wantsReplay && (await batches.replay(this.saved, REPLAYS_AT_ONCE));
    if (upTo > this.position && (await this.step(batches, upTo)) === 'more') return 'now';
    if (replaysMore) return 'now';
    const untilSaved = await this.saveSkipped(batches);
    if (head <= upTo) {
      this.gaps = 0;
      return untilSaved;
    }
    // Should the open transaction roll back, nobody will wake us.
    return Math.min(untilSaved, backoffMs(++this.gaps, GAP));
  }

  private async step(batches: BatchRunner, upTo: bigint): Promise<Progress> {
    const { backend } = this.around;
    const { batchSize } = this.settings;
    const messages = await backend.readLog(this.query(upTo));
    const isFull = messages.length === batchSize;
    if (messages.length > 0) {
      const to = messages.at(-1)!.globalPosition;
      this.saved = await batches.handle(messages, this.saved);
      this.position = this.saved;
      this.hasStopped = batches.hasStopped;
      this.savedAt = performance.now();
      if (this.saved < to || this.hasStopped) return 'halted';
    }
    if (isFull) return 'more';
    // Not the watermark itself: after a crash of the server, positions that nobody has committed are drawn again.
    const passed = await backend.head(upTo);
    if (passed > this.position) this.position = passed;
    return 'all';
  }

  private query(upTo: bigint): LogQuery {
    const { partition } = this.key;
    return {
      after: this.position,
      upTo,
      limit: this.settings.batchSize,
      partition: partition === ALL_PARTITIONS ? undefined : partition,
      types: this.work.types,
      withDeleted: this.work.withDeleted,
      category: undefined,
      shard: this.shards === 1 ? undefined : { index: this.shard, count: this.shards },
    };
  }

  /** Moves the checkpoint over what was not for this processor, now and then. @returns when to do it, in ms from now */
  private async saveSkipped(batches: BatchRunner): Promise<number> {
    if (this.position === this.saved) return Infinity;
    const dueMs = this.savedAt + SKIP_SAVE_MS - performance.now();
    if (dueMs > 0) return dueMs;
    await batches.skip(this.saved, this.position);
    this.saved = this.position;
    this.savedAt = performance.now();
    return Infinity;
  }

  private async load(): Promise<Checkpoint | undefined> {
    const checkpoints = await this.around.backend.processors.read(this.key);
    const mine = checkpoints.find(({ shard }) => shard === this.shard);
    if (mine !== undefined && (mine.position !== this.saved || this.position < mine.position)) {
      this.saved = mine.position;
      this.position = mine.position;
    }
    return mine;
  }

  /** With the lease, since another instance would go on. */
  private async rest(): Promise<void> {
    this.isActive = false;
    this.onProgress();
    while (!this.around.stopping.aborted) await this.wakeup.wait();
  }

  /**
   * Whatever was not saved is done again from the checkpoint. The lease is kept: it might not be possible to release it
   * either, and then this instance, too, would have to wait until it runs out.
   *
   * @throws LeaseExpiredError
   */
  private async recover(error: unknown, lease: ProcessorLease): Promise<'now'> {
    const { stopping } = this.around;
    if (stopping.aborted || error instanceof CheckpointMovedError) return 'now';
    if (!lease.held || isLeaseOver(error)) throw error;
    await this.pauseAfter(error);
    return 'now';
  }

  private async pauseAfter(error: unknown): Promise<void> {
    this.failures++;
    // Said once, however long it lasts.
    if (this.failures === 1) {
      logger.warn(
        `Processor "${this.key.processorId}" was interrupted and goes on by itself: ${messageOf(error)}`,
      );
    }
    const signal = this.around.stopping;
    await pause(backoffMs(this.failures, RECOVERY), signal);
  }
}

/** By code: an application may have two copies of a package. */
function isLeaseOver(error: unknown): boolean {
  return (error as { code?: unknown } | null)?.code === 'LEASE_EXPIRED';
}
