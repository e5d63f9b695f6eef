import { InvalidArgumentError, assertName, messageOf } from '@nestbox/core';
import { Logger } from '@nestjs/common';
import { encode } from '../append/prepare-append.js';
import type { Codec } from '../codec/codec.js';
import type { EventStoreBackend, SnapshotKey } from '../event-store.backend.js';
import type { AggregateStreamOptions, AggregateStreamResult, SnapshotOptions } from '../event-store.types.js';
import type { Event } from '../event.types.js';
import { checkCount, checkPartition } from '../support/arguments.js';
import type { StreamReader } from './stream-reader.js';

const logger = new Logger('NestboxEventStore');

/** Folds a stream into a state, page by page. */
export class Aggregator {
  constructor(
    private readonly backend: EventStoreBackend,
    private readonly reader: StreamReader,
    private readonly codec: Codec | undefined,
  ) {}

  async aggregate<State, E extends Event, Stored extends Event>(
    streamName: string,
    options: AggregateStreamOptions<State, E, Stored>,
  ): Promise<AggregateStreamResult<State>> {
    const { evolve, initialState, read = {}, snapshot = false } = options;
    assertFunction(evolve, 'evolve');
    assertFunction(initialState, 'initialState');
    const hasRange = [read.from, read.to, read.maxCount].some((bound) => bound !== undefined);
    if (read.backwards === true) {
      throw new InvalidArgumentError(
        'read.backwards',
        'a state is made of its events from the first to the last.',
      );
    }
    // A snapshot is that of the whole stream up to some version.
    const plan =
      snapshot === false || hasRange ? undefined : snapshotPlan(streamName, read.partition, snapshot);
    const found = plan === undefined ? undefined : await this.backend.readSnapshot(plan.key);
    let state =
      found === undefined
        ? initialState()
        : ((this.codec === undefined ? found.state : this.codec.decode(found.state)) as State);
    let version = 0n;
    let exists = false;
    const range = found === undefined ? read : { ...read, from: found.version + 1n };
    for await (const page of this.reader.pages(streamName, range)) {
      for (const event of page.events) state = evolve(state, event);
      ({ version, exists } = page);
    }
    if (plan !== undefined && exists && version - (found?.version ?? 0n) >= plan.every) {
      await this.save(plan.key, version, state);
    }
    return { state, currentStreamVersion: version, streamExists: exists };
  }

  /** Without the snapshot, the next reading takes longer, and that is all. */
  private async save(key: SnapshotKey, version: bigint, state: unknown): Promise<void> {
    const encoded = encode(state, 'state', this.codec);
    try {
      await this.backend.writeSnapshot(key, { version, state: encoded });
    } catch (error) {
      // In a transaction, the failed statement has doomed it.
      if (this.backend.inTransaction) throw error;
      logger.warn(`The snapshot of stream "${key.streamName}" could not be written: ${messageOf(error)}`);
    }
  }
}

function snapshotPlan(
  streamName: string,
  partition: string | undefined,
  snapshot: true | SnapshotOptions,
): { key: SnapshotKey; every: bigint } {
  const { name = 'default', version = 1, every = 100 } = snapshot === true ? {} : snapshot;
  assertName(name, 'snapshot.name');
  return {
    key: {
      partition: checkPartition(partition, 'read.partition'),
      streamName,
      name,
      schemaVersion: checkCount(version, 'snapshot.version'),
    },
    every: BigInt(checkCount(every, 'snapshot.every')),
  };
}

function assertFunction(value: unknown, path: string): void {
  if (typeof value !== 'function') throw new InvalidArgumentError(path, 'must be a function.');
}
