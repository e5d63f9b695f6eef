import { assertName } from '@nestbox/core';
import type { EventStoreBackend, StreamSlice } from '../event-store.backend.js';
import { ExpectedVersionConflictError } from '../event-store.errors.js';
import type { ReadStreamOptions, ReadStreamResult } from '../event-store.types.js';
import type { Event, ReadEvent, Upcast } from '../event.types.js';
import {
  checkExpected,
  checkPartition,
  checkRange,
  meetsExpectation,
  type CheckedRange,
} from '../support/arguments.js';
import { recast } from '../support/recast.js';
import type { EventDecoder } from './read-event.js';

/** Events that are read at once. */
const PAGE = 1_000;

/** Reads streams, at once or page by page. */
export class StreamReader {
  constructor(
    private readonly backend: EventStoreBackend,
    private readonly decoder: EventDecoder,
  ) {}

  async read<E extends Event, Stored extends Event>(
    streamName: string,
    options: ReadStreamOptions<E, Stored>,
  ): Promise<ReadStreamResult<E>> {
    const { partition, range } = this.check(streamName, options);
    const slice = await this.backend.readStream({ partition, streamName, ...range });
    assertExpected(streamName, slice, options);
    return {
      events: this.decode(slice, options) as ReadEvent<E>[],
      currentStreamVersion: versionOf(slice),
      streamExists: existsAs(slice),
    };
  }

  /** At least one page; each with the stream's version when it was read. */
  async *pages<E extends Event, Stored extends Event>(
    streamName: string,
    options: ReadStreamOptions<E, Stored>,
  ): AsyncGenerator<{ events: ReadEvent<E>[]; version: bigint; exists: boolean }> {
    const { partition, range } = this.check(streamName, options);
    let { from, to } = range;
    let left = range.maxCount ?? Infinity;
    for (let isFirst = true; ; isFirst = false) {
      const limit = Math.min(PAGE, left);
      const slice = await this.backend.readStream({
        partition,
        streamName,
        from,
        to,
        backwards: range.backwards,
        maxCount: limit,
      });
      if (isFirst) assertExpected(streamName, slice, options);
      const events = this.decode(slice, options) as ReadEvent<E>[];
      yield { events, version: versionOf(slice), exists: existsAs(slice) };
      const last = slice.messages.at(-1)?.streamPosition;
      left -= slice.messages.length;
      if (last === undefined || slice.messages.length < limit || left === 0) return;
      if (range.backwards) to = last - 1n;
      else from = last + 1n;
    }
  }

  private check(
    streamName: string,
    options: ReadStreamOptions<Event, never>,
  ): { partition: string; range: CheckedRange } {
    assertName(streamName, 'streamName');
    return { partition: checkPartition(options.partition), range: checkRange(options, 'options') };
  }

  private decode<E extends Event, Stored extends Event>(
    { messages }: StreamSlice,
    { upcast, schema }: ReadStreamOptions<E, Stored>,
  ): ReadEvent[] {
    const versioning = schema?.versioning?.upcast;
    const recasting: Upcast | undefined = versioning && ((event) => recast(event, versioning));
    return this.decoder.decodeAll(messages, upcast, recasting);
  }
}

function assertExpected(
  streamName: string,
  slice: StreamSlice,
  { expectedStreamVersion }: { expectedStreamVersion?: unknown },
): void {
  const expected = checkExpected(expectedStreamVersion);
  const version = versionOf(slice);
  if (!meetsExpectation(version, expected)) {
    throw new ExpectedVersionConflictError(streamName, version, expected);
  }
}

/** To its readers, a deleted stream is not there. */
export function versionOf({ state, version }: Pick<StreamSlice, 'state' | 'version'>): bigint {
  return state === 'deleted' ? 0n : version;
}

export function existsAs({ state, version }: Pick<StreamSlice, 'state' | 'version'>): boolean {
  return version > 0n && state !== 'deleted';
}
