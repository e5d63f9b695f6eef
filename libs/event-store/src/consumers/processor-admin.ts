import { assertName } from '@nestbox/core';
import type { EventStoreBackend } from '../event-store.backend.js';
import { NotFoundError } from '../event-store.errors.js';
import type { ReadEvent } from '../event.types.js';
import type { EventDecoder } from '../streams/read-event.js';
import { checkCount, checkPartition, checkPosition } from '../support/arguments.js';
import { operation } from '../support/operation.js';
import type { ProcessorInfo, StartFrom } from './consumer.types.js';
import { ALL_PARTITIONS, type Checkpoint, type ProcessorKey } from './processor.backend.js';
import { checkStart, startPosition } from './processor-options.js';

/** Which of the processors of this id. */
export interface ProcessorPartition {
  /** The partition that its consumer reads, `*` for all. Default: the one there is, else `emt:default`. */
  partition?: string;
}

/** An event whose handler kept failing. */
export interface ParkedEvent {
  readonly processorId: string;
  readonly partition: string;
  /** As it is stored: upcasts may be what failed. */
  readonly event: ReadEvent;
  readonly attempts: number;
  /** The message of the last error. */
  readonly error: string;
  /** How often somebody asked for it to be handled again, since it was last tried. */
  readonly requests: number;
  readonly parkedAt: Date;
}

/**
 * What processors have done, and orders to them, by whatever instance they are run. Orders take effect behind the batch
 * that is being handled.
 */
export class ProcessorAdmin {
  /** @internal Made by `EventStore`. */
  constructor(
    private readonly backend: EventStoreBackend,
    private readonly decoder: EventDecoder,
    private readonly ready: () => Promise<void>,
  ) {}

  /** All processors that were ever started, by id and partition. */
  list(): Promise<ProcessorInfo[]> {
    return this.run('list the processors', async () => {
      const [checkpoints, parked, head] = await Promise.all([
        this.backend.processors.list(),
        this.backend.processors.countParked(),
        this.backend.head(),
      ]);
      return Promise.all(
        byProcessor(checkpoints).map((shards) => {
          const [{ processorId, partition }] = shards;
          const count = parked.find(
            (row) => row.processorId === processorId && row.partition === partition,
          )?.count;
          return this.infoOf(shards, count ?? 0, head);
        }),
      );
    });
  }

  /** @returns undefined when there is none */
  async get(processorId: string, { partition }: ProcessorPartition = {}): Promise<ProcessorInfo | undefined> {
    assertName(processorId, 'processorId');
    const wanted = partition === undefined ? undefined : checkedPartition(partition);
    const found = (await this.list()).filter(
      (info) => info.processorId === processorId && (wanted === undefined || info.partition === wanted),
    );
    return found.find((info) => info.partition === checkPartition(undefined)) ?? found[0];
  }

  /**
   * Lets a processor rest until it is resumed, also when instances start anew. A batch that is under way is finished.
   *
   * @throws NotFoundError
   */
  async pause(processorId: string, options: ProcessorPartition = {}): Promise<void> {
    return this.setStatus('pause', 'paused', processorId, options);
  }

  /** Lets a paused or failed processor go on. @throws NotFoundError */
  async resume(processorId: string, options: ProcessorPartition = {}): Promise<void> {
    return this.setStatus('resume', 'active', processorId, options);
  }

  /**
   * Lets a processor begin anew, from `BEGINNING` unless a position is given. What a projection has made stays; to make
   * it anew, use `rebuild`.
   *
   * @throws NotFoundError
   */
  async reset(
    processorId: string,
    { position = 'BEGINNING', ...options }: ProcessorPartition & { position?: StartFrom } = {},
  ): Promise<void> {
    const start = checkStart(position, 'position');
    return this.onOne('reset', processorId, options, async (key) => {
      await this.backend.processors.reset(key, await startPosition(this.backend, start));
      this.backend.notify();
    });
  }

  /** Forgets a processor that no instance runs any more, and its parked events. @returns false when there is none */
  async remove(processorId: string, options: ProcessorPartition = {}): Promise<boolean> {
    assertName(processorId, 'processorId');
    return this.run(`remove processor "${processorId}"`, async () => {
      const key = await this.find(processorId, options);
      return key === undefined ? false : this.backend.processors.remove(key);
    });
  }

  /** Parked events, in the order of the log. @throws NotFoundError */
  async parked(
    processorId: string,
    { after = 0n, limit = 100, ...options }: ProcessorPartition & { after?: bigint; limit?: number } = {},
  ): Promise<ParkedEvent[]> {
    const query = { after: checkPosition(after, 'after'), limit: checkCount(limit, 'limit') };
    return this.onOne('list the parked events of', processorId, options, async (key) => {
      const found = await this.backend.processors.parked(key, query);
      return found.map(({ message, ...parked }) => ({ ...parked, event: this.decoder.decodeRaw(message) }));
    });
  }

  /**
   * Asks the processor, wherever it runs, to handle parked events again: those at these global positions, or all. What
   * fails again stays parked.
   *
   * @returns how many
   * @throws NotFoundError
   */
  async replay(
    processorId: string,
    positions?: bigint | readonly bigint[],
    options: ProcessorPartition = {},
  ): Promise<number> {
    const wanted = checkPositions(positions);
    return this.onOne('replay the parked events of', processorId, options, async (key) => {
      const count = await this.backend.processors.requestReplay(key, wanted);
      if (count > 0) this.backend.notify();
      return count;
    });
  }

  /** Forgets parked events: those at these global positions, or all. @returns how many @throws NotFoundError */
  async drop(
    processorId: string,
    positions?: bigint | readonly bigint[],
    options: ProcessorPartition = {},
  ): Promise<number> {
    const wanted = checkPositions(positions);
    return this.onOne('drop parked events of', processorId, options, async (key) => {
      if (wanted === undefined) return this.backend.processors.unparkAll(key);
      let count = 0;
      for (const position of wanted) count += Number(await this.backend.processors.unpark(key, position));
      return count;
    });
  }

  private setStatus(
    what: string,
    status: 'active' | 'paused',
    processorId: string,
    options: ProcessorPartition,
  ): Promise<void> {
    return this.onOne(what, processorId, options, async (key) => {
      await this.backend.processors.setStatus(key, status);
      this.backend.notify();
    });
  }

  private async onOne<R>(
    what: string,
    processorId: string,
    options: ProcessorPartition,
    fn: (key: ProcessorKey) => Promise<R>,
  ): Promise<R> {
    assertName(processorId, 'processorId');
    return this.run(`${what} processor "${processorId}"`, async () => {
      const key = await this.find(processorId, options);
      if (key !== undefined) return fn(key);
      throw new NotFoundError(
        'processor',
        processorId,
        'See processors.list() for those that were ever started.',
      );
    });
  }

  private async find(
    processorId: string,
    { partition }: ProcessorPartition,
  ): Promise<ProcessorKey | undefined> {
    const wanted = partition === undefined ? undefined : checkedPartition(partition);
    const all = (await this.backend.processors.list()).filter((row) => row.processorId === processorId);
    const found =
      wanted === undefined
        ? (all.find((row) => row.partition === checkPartition(undefined)) ?? all[0])
        : all.find((row) => row.partition === wanted);
    return found && { processorId, partition: found.partition };
  }

  private async infoOf(shards: Shards, parked: number, head: bigint): Promise<ProcessorInfo> {
    const [{ processorId, partition }] = shards;
    const position = shards.reduce((lowest, each) => (each.position < lowest ? each.position : lowest), head);
    const worst = shards.find(({ status }) => status !== 'active') ?? shards[0];
    const lag = head - position;
    const age =
      lag > 0n ? await this.backend.processors.ageAfter({ processorId, partition }, position) : undefined;
    return {
      processorId,
      partition,
      status: worst.status,
      position,
      shards: shards.length,
      // What is behind it belongs to other partitions.
      lag: age === undefined ? 0n : lag,
      lagMs: Math.round(age ?? 0),
      parked,
      error: worst.error,
      updatedAt: new Date(Math.max(...shards.map(({ updatedAt }) => updatedAt.getTime()))),
    };
  }

  private run<R>(name: string, fn: () => Promise<R>): Promise<R> {
    return operation(name, async () => {
      await this.ready();
      return fn();
    });
  }
}

/** The checkpoints of one processor. */
type Shards = readonly [Checkpoint, ...Checkpoint[]];

function byProcessor(checkpoints: readonly Checkpoint[]): Shards[] {
  const groups = new Map<string, [Checkpoint, ...Checkpoint[]]>();
  for (const checkpoint of checkpoints) {
    const key = `${checkpoint.processorId}\0${checkpoint.partition}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [checkpoint]);
    else group.push(checkpoint);
  }
  return [...groups.values()];
}

function checkedPartition(partition: string): string {
  return partition === ALL_PARTITIONS ? ALL_PARTITIONS : checkPartition(partition);
}

function checkPositions(positions: bigint | readonly bigint[] | undefined): bigint[] | undefined {
  if (positions === undefined) return undefined;
  const list = Array.isArray(positions) ? (positions as readonly bigint[]) : [positions as bigint];
  return list.map((position, i) => checkPosition(position, `positions[${i}]`));
}
