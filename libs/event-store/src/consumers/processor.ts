import { setMaxListeners } from 'node:events';
import { ClosedError, backoffMs, messageOf } from '@nestbox/core';
import { Logger } from '@nestjs/common';
import { PartitionNotFoundError, ProcessorFailedError } from '../event-store.errors.js';
import { pause } from './pause.js';
import type { EventWork } from './event-work.js';
import type { Checkpoint, ProcessorKey, ProcessorLease } from './processor.backend.js';
import { startPosition, type ProcessorSettings } from './processor-options.js';
import { ShardQuota } from './shard-quota.js';
import { RECOVERY, ShardRunner, type RunnerSurroundings } from './shard-runner.js';

const logger = new Logger('NestboxEventStore');

/** How often an instance looks who else runs a processor, in ms. */
const BALANCE_MS = 500;

/** How often `whenCaughtUp` looks for what other instances have done, in ms. */
const LOOK_MS = 100;

/** A projector or a reactor of a consumer. Get one by `consumer.projector(…)` or `consumer.reactor(…)`. */
export class Processor {
  readonly processorId: string;
  readonly partition: string;
  private runners: ShardRunner[] = [];
  private shards: number;
  private ended = false;
  private readonly waiting = new Set<() => void>();

  /** @internal Made by `Consumer`. */
  constructor(
    private readonly settings: ProcessorSettings,
    private readonly work: EventWork,
    partition: string,
    private readonly caughtUp: (signal: AbortSignal | undefined) => Promise<void>,
  ) {
    this.processorId = settings.processorId;
    this.partition = partition;
    this.shards = settings.shards;
  }

  /** Whether this instance handles the events, all or some of them; else it stands by for another that does. */
  get isActive(): boolean {
    return this.activeShards > 0;
  }

  /** How many of its shards this instance handles. Instances that run the same processor share them evenly. */
  get activeShards(): number {
    return this.runners.filter((runner) => runner.isActive).length;
  }

  /** @internal There may be something to do. */
  wake(): void {
    for (const runner of this.runners) runner.wake();
  }

  /** @internal Makes the checkpoints. @throws PartitionNotFoundError */
  async register({ backend }: RunnerSurroundings): Promise<void> {
    const position = await startPosition(backend, this.settings.startFrom);
    let checkpoints: readonly Checkpoint[];
    try {
      checkpoints = await backend.processors.register(this.key, this.shards, position);
    } catch (error) {
      if (backend.isDataError(error)) throw new PartitionNotFoundError(this.partition);
      throw error;
    }
    // What made it fail may have been mended.
    if (checkpoints.some(({ status }) => status === 'failed')) {
      await backend.processors.setStatus(this.key, 'active');
    }
  }

  /** @internal Handles events until it is stopped. Never rejects. */
  async run(around: RunnerSurroundings): Promise<void> {
    this.ended = false;
    this.shards = this.settings.shards;
    const { stopping } = around;
    let failures = 0;
    while (!stopping.aborted) {
      try {
        await this.runShards(around);
        failures = 0;
      } catch (error) {
        if (stopping.aborted) break;
        if (error instanceof PartitionNotFoundError) {
          logger.error(`Processor "${this.processorId}" has ended: ${messageOf(error)}`, error);
          break;
        }
        // Said once, however long it lasts.
        if (++failures === 1) {
          logger.warn(
            `Processor "${this.processorId}" was interrupted and goes on by itself: ${messageOf(error)}`,
          );
        }
        await pause(backoffMs(failures, RECOVERY), stopping);
      }
    }
    this.ended = true;
    this.tell();
  }

  /**
   * Waits until everything is handled that was committed before the call, by whatever instance.
   *
   * @throws ProcessorFailedError when it has failed; ClosedError when the consumer stops; the reason of `signal`
   */
  whenCaughtUp({ signal }: { signal?: AbortSignal } = {}): Promise<void> {
    return this.caughtUp(signal);
  }

  /** @internal {@link whenCaughtUp} */
  async reached(
    around: RunnerSurroundings,
    { signal, skipPaused = false }: { signal?: AbortSignal | undefined; skipPaused?: boolean } = {},
  ): Promise<void> {
    let target = await around.backend.head();
    for (;;) {
      signal?.throwIfAborted();
      // Lower than before when a partition was dropped meanwhile.
      const head = await around.backend.head();
      if (head < target) target = head;
      if (await this.hasReached(target, around, skipPaused)) return;
      if (this.ended || around.stopping.aborted) throw new ClosedError(`Processor "${this.processorId}"`);
      await this.progress();
    }
  }

  private get key(): ProcessorKey {
    return { processorId: this.processorId, partition: this.partition };
  }

  /** Handles events until it is stopped, or is to be divided in another way. */
  private async runShards(all: RunnerSurroundings): Promise<void> {
    const over = new AbortController();
    const around = { ...all, stopping: AbortSignal.any([all.stopping, over.signal]) };
    setMaxListeners(0, around.stopping);
    const runners = await this.divide(around, () => {
      this.tell();
      // All of them are here, so that they can be divided as this instance was told to.
      if (this.runners.length !== this.shards && this.isActiveEverywhere) over.abort();
    });
    this.runners = runners;
    const quota = new ShardQuota(runners.length);
    const balancing = runners.length > 1 ? this.balance(around, quota) : undefined;
    const ends = await Promise.all(runners.map((runner) => runner.run(quota)));
    over.abort();
    await balancing;
    if (ends.includes('resharded') && !all.stopping.aborted) await this.followShards(around);
  }

  /** Leaves shards to other instances that run the processor, as they come and go. Never rejects. */
  private async balance({ backend, stopping }: RunnerSurroundings, quota: ShardQuota): Promise<void> {
    const { processors } = backend;
    let place: ProcessorLease | undefined;
    while (!stopping.aborted) {
      try {
        if (place?.held !== true) place = await processors.join(this.key, this.settings.leaseMs);
        if (quota.setInstances(await processors.countInstances(this.key))) this.wake();
      } catch {
        // Those who handle events say what is wrong; until then, everybody keeps what he has.
      }
      await pause(BALANCE_MS, stopping);
    }
    await place?.release();
  }

  private get isActiveEverywhere(): boolean {
    return this.runners.length > 0 && this.runners.every((runner) => runner.isActive);
  }

  /**
   * Makes as many shards as were asked for, if nobody works on those that there are; else this instance works with the
   * others, so that no shard waits for those that it does not have.
   *
   * @returns runners of the shards that there are then
   */
  private async divide(around: RunnerSurroundings, onProgress: () => void): Promise<ShardRunner[]> {
    const { backend } = around;
    const { processors } = backend;
    const make = (shards: number): ShardRunner[] =>
      Array.from(
        { length: shards },
        (_, i) => new ShardRunner(around, this.settings, this.work, this.key, i, shards, onProgress),
      );
    const [first] = await processors.read(this.key);
    const old = first?.shards ?? this.shards;
    const runners = make(old);
    if (old === this.shards) return runners;
    const leases: ProcessorLease[] = [];
    try {
      for (const runner of runners) {
        const lease = await runner.tryLease();
        if (lease === undefined) return runners;
        leases.push(lease);
      }
      const now = await processors.read(this.key);
      // Another instance was faster.
      if (now.some(({ shards }) => shards !== old)) return await this.divide(around, onProgress);
      // All have to be at one position before they can be divided in another way.
      const target = now.reduce((highest, { position }) => (position > highest ? position : highest), 0n);
      const reached = await Promise.all(runners.map((runner, i) => runner.runUpTo(target, leases[i]!)));
      if (around.stopping.aborted) return runners;
      if (reached.includes(false)) {
        logger.warn(
          `Processor "${this.processorId}" stands still, and keeps its ${old} shards until the next start.`,
        );
        this.shards = old;
        return runners;
      }
      await backend.transaction(async () => {
        for (const [i, runner] of runners.entries()) await runner.settle(target, leases[i]!);
        await processors.reshard(this.key, this.shards, target);
      });
      logger.log(`Processor "${this.processorId}" was changed from ${old} to ${this.shards} shards.`);
      return make(this.shards);
    } finally {
      await Promise.all(leases.map((lease) => lease.release()));
    }
  }

  /** Another instance has divided it in another way, and this one follows: the newest counts. */
  private async followShards(around: RunnerSurroundings): Promise<void> {
    let [checkpoint] = await around.backend.processors.read(this.key);
    if (checkpoint === undefined) {
      await this.register(around);
      [checkpoint] = await around.backend.processors.read(this.key);
    }
    const { shards } = checkpoint!;
    if (shards === this.shards) return;
    logger.warn(
      `Another instance has given processor "${this.processorId}" ${shards} shards; this one follows.`,
    );
    this.shards = shards;
  }

  private async hasReached(
    target: bigint,
    { backend }: RunnerSurroundings,
    skipPaused: boolean,
  ): Promise<boolean> {
    const checkpoints = await backend.processors.read(this.key);
    const failed = checkpoints.find(({ status }) => status === 'failed');
    if (failed !== undefined) throw new ProcessorFailedError(this.processorId, failed.error ?? 'unknown');
    const isDone = ({ shard, position, status }: Checkpoint): boolean =>
      position >= target ||
      (skipPaused && status === 'paused') ||
      this.runners.some((runner) => runner.shard === shard && runner.covers(target, position));
    return checkpoints.length > 0 && checkpoints.every(isDone);
  }

  private tell(): void {
    for (const resolve of this.waiting) resolve();
  }

  private async progress(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    let resolve!: () => void;
    await new Promise<void>((fulfil) => {
      resolve = fulfil;
      this.waiting.add(resolve);
      timer = setTimeout(resolve, LOOK_MS);
    });
    this.waiting.delete(resolve);
    clearTimeout(timer);
  }
}
