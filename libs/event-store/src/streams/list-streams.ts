import { InvalidArgumentError, assertName, textProblem } from '@nestbox/core';
import type { EventStoreBackend, StreamInfo } from '../event-store.backend.js';
import type { ListStreamsOptions } from '../event-store.types.js';
import { checkCount, checkPartition } from '../support/arguments.js';

/** A part of all streams. */
export interface StreamPage {
  streams: StreamInfo[];
  /** Where to go on; absent at the end. */
  cursor?: string;
}

export async function listStreams(
  backend: EventStoreBackend,
  { partition, category, prefix = '', cursor, limit = 100 }: ListStreamsOptions,
): Promise<StreamPage> {
  if (category !== undefined) assertName(category, 'category');
  if (typeof prefix !== 'string') throw new InvalidArgumentError('prefix', 'must be a string.');
  const problem = textProblem(prefix);
  if (problem !== undefined) throw new InvalidArgumentError('prefix', problem);
  const count = checkCount(limit, 'limit');
  const found = await backend.listStreams({
    partition: checkPartition(partition),
    category,
    prefix,
    after: cursor === undefined ? undefined : nameOf(cursor),
    limit: count + 1,
  });
  const streams = found.slice(0, count);
  return { streams, ...(found.length > count && { cursor: cursorOf(streams.at(-1)!.streamName) }) };
}

function cursorOf(streamName: string): string {
  return Buffer.from(streamName).toString('base64url');
}

function nameOf(cursor: unknown): string {
  if (typeof cursor === 'string') {
    const name = Buffer.from(cursor, 'base64url').toString();
    if (cursor !== '' && cursorOf(name) === cursor) {
      assertName(name, 'cursor');
      return name;
    }
  }
  throw new InvalidArgumentError('cursor', 'must be a cursor that listStreams() has returned.');
}
