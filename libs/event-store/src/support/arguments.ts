import { InvalidArgumentError, assertName } from '@nestbox/core';
import { ALL_PARTITIONS } from '../consumers/processor.backend.js';
import { DEFAULT_PARTITION, type ExpectedStreamVersion } from '../event.types.js';
import type { ReadRange } from '../event-store.types.js';

const GENERAL = ['STREAM_EXISTS', 'STREAM_DOES_NOT_EXIST', 'NO_CONCURRENCY_CHECK'] as const;

/** PostgreSQL's bigint. */
const MAX_POSITION = 2n ** 63n - 1n;

/** @returns the partition, which is the default one when none is named */
export function checkPartition(partition: unknown, path = 'partition'): string {
  if (partition === undefined) return DEFAULT_PARTITION;
  assertName(partition, path);
  if (partition === ALL_PARTITIONS) {
    throw new InvalidArgumentError(path, "must name one partition; '*' is for reading the log.");
  }
  return partition;
}

/** @returns the partition, or undefined for all of them */
export function checkLogPartition(partition: unknown): string | undefined {
  return partition === ALL_PARTITIONS ? undefined : checkPartition(partition);
}

/** @returns the expectation; none is `NO_CONCURRENCY_CHECK` */
export function checkExpected(expected: unknown, path = 'expectedStreamVersion'): ExpectedStreamVersion {
  if (expected === undefined) return 'NO_CONCURRENCY_CHECK';
  if (typeof expected === 'string' && (GENERAL as readonly string[]).includes(expected)) {
    return expected as ExpectedStreamVersion;
  }
  if (typeof expected === 'bigint' || typeof expected === 'number') return checkPosition(expected, path);
  throw new InvalidArgumentError(path, `must be a bigint or one of ${GENERAL.join(', ')}.`);
}

/** Whether a stream at this version (0: not there) is as it was expected. */
export function meetsExpectation(version: bigint, expected: ExpectedStreamVersion): boolean {
  switch (expected) {
    case 'NO_CONCURRENCY_CHECK':
      return true;
    case 'STREAM_EXISTS':
      return version > 0n;
    case 'STREAM_DOES_NOT_EXIST':
      return version === 0n;
    default:
      return version === expected;
  }
}

/** @returns the position as a bigint; a whole number is taken too */
export function checkPosition(position: unknown, path: string): bigint {
  const value = typeof position === 'number' && Number.isSafeInteger(position) ? BigInt(position) : position;
  if (typeof value !== 'bigint') throw new InvalidArgumentError(path, 'must be a bigint, such as 1n.');
  if (value < 0n || value > MAX_POSITION) {
    throw new InvalidArgumentError(path, `${value} must be at least 0 and at most 2^63 - 1.`);
  }
  return value;
}

/** @returns a whole number of at least 1 */
export function checkCount(count: unknown, path: string): number {
  const value = typeof count === 'bigint' && count <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(count) : count;
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 1) {
    throw new InvalidArgumentError(path, `${String(count)} must be a whole number of at least 1.`);
  }
  return Math.min(value, 2 ** 31 - 1);
}

export interface CheckedRange {
  /** The lowest position. */
  readonly from: bigint;
  /** The highest one. */
  readonly to: bigint | undefined;
  readonly maxCount: number | undefined;
  readonly backwards: boolean;
}

/** Backwards, `from` is where the reading begins: at the top. */
export function checkRange({ from, to, maxCount, backwards = false }: ReadRange, path: string): CheckedRange {
  const first = from === undefined ? undefined : checkPosition(from, `${path}.from`);
  const last = to === undefined ? undefined : checkPosition(to, `${path}.to`);
  return {
    from: (backwards ? last : first) ?? 0n,
    to: backwards ? first : last,
    maxCount: maxCount === undefined ? undefined : checkMaxCount(maxCount, `${path}.maxCount`),
    backwards,
  };
}

/** Of nothing, nothing is read. */
function checkMaxCount(maxCount: unknown, path: string): number {
  return maxCount === 0n || maxCount === 0 ? 0 : checkCount(maxCount, path);
}
