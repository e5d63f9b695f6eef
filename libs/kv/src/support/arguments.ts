import {
  InvalidArgumentError,
  assertName,
  encodeJson,
  parseDuration,
  textProblem,
  type Duration,
} from '@nestbox/core';
import type { ExpectedVersion, Expiry, KeyRange, KvOperation } from '../kv.adapter.js';

/** What a counter, a version and a revision can be: a signed 64-bit whole number. */
export const MAX_INT64 = 2n ** 63n - 1n;
export const MIN_INT64 = -(2n ** 63n);

/** An {@link Expiry} with its time to live in ms. */
export type Lifetime = number | 'never' | 'keep';

/** An entry that has been checked, its value as JSON text. */
export interface EncodedEntry {
  key: string;
  json: string;
  lifetime: Lifetime;
}

/** A {@link KvOperation} that has been checked, its value as JSON text. */
export type EncodedOperation =
  | { type: 'check'; key: string; version: ExpectedVersion }
  | { type: 'set'; key: string; json: string; lifetime: Lifetime }
  | { type: 'delete'; key: string }
  | { type: 'increment'; key: string; by: bigint; lifetime: Lifetime };

/** @throws InvalidArgumentError unless it is a non-empty, well-formed text of at most 512 bytes without NUL */
export function assertKey(key: unknown, path = 'key'): asserts key is string {
  assertName(key, path);
}

/** Checks each key, and drops repetitions. */
export function distinctKeys(keys: readonly string[], path = 'keys'): string[] {
  const distinct = new Set<string>();
  keys.forEach((key, i) => {
    assertKey(key, `${path}[${i}]`);
    distinct.add(key);
  });
  return [...distinct];
}

/**
 * The JSON text of a value. Call it before anything is awaited, so that what the caller does to the value later
 * is not stored.
 */
export function encodeValue(value: unknown, path = 'value'): string {
  return encodeJson(value, path);
}

/**
 * The time to live in ms, `'never'` (also for undefined) or `'keep'`.
 *
 * @param path what to call the expiry in an error; the ttl is `<path>.ttl`
 */
export function lifetimeOf(expiry: Expiry | undefined, path = 'expiry'): Lifetime {
  if (expiry === undefined || expiry === 'never') return 'never';
  if (expiry === 'keep') return 'keep';
  if (typeof expiry !== 'object' || expiry === null) {
    throw new InvalidArgumentError(path, "must be { ttl }, 'never' or 'keep'.");
  }
  return parseDuration(expiry.ttl, `${path}.ttl`);
}

/** The ms of an optional duration. */
export function optionalMs(duration: Duration | undefined, path: string): number | undefined {
  return duration === undefined ? undefined : parseDuration(duration, path);
}

/** @throws InvalidArgumentError unless it is a bigint of 0 to 2^63 - 1 */
export function assertVersion(version: unknown, path = 'version'): asserts version is bigint {
  if (typeof version !== 'bigint') {
    throw new InvalidArgumentError(path, `must be a bigint such as 1n, not ${describeType(version)}.`);
  }
  if (version < 0n || version > MAX_INT64) {
    throw new InvalidArgumentError(path, `${version} is not between 0 and 2^63 - 1.`);
  }
}

/** @throws InvalidArgumentError unless it is undefined, `'absent'` or a version */
export function assertExpectedVersion(
  version: unknown,
  path = 'ifVersion',
): asserts version is ExpectedVersion | undefined {
  if (version === undefined || version === 'absent') return;
  if (typeof version !== 'bigint') {
    throw new InvalidArgumentError(
      path,
      `must be a bigint such as 1n, or 'absent', not ${describeType(version)}.`,
    );
  }
  assertVersion(version, path);
}

/** @throws InvalidArgumentError unless it is a bigint that fits 64 bits */
export function assertIncrement(by: unknown, path = 'by'): asserts by is bigint {
  if (typeof by !== 'bigint') {
    throw new InvalidArgumentError(path, `must be a bigint such as 1n, not ${describeType(by)}.`);
  }
  if (by > MAX_INT64 || by < MIN_INT64) throw new InvalidArgumentError(path, `${by} does not fit 64 bits.`);
}

/** @throws InvalidArgumentError unless it is a whole number of at least 1 */
export function assertLimit(limit: unknown, path = 'limit'): asserts limit is number {
  if (!Number.isSafeInteger(limit) || (limit as number) < 1) {
    throw new InvalidArgumentError(path, `${String(limit)} must be a whole number of at least 1.`);
  }
}

/** Checks a text that is compared with keys, such as a prefix; unlike a key it may be empty. */
export function assertBound(bound: unknown, path: string): asserts bound is string | undefined {
  if (bound === undefined) return;
  if (typeof bound !== 'string') {
    throw new InvalidArgumentError(path, `must be a string, not ${describeType(bound)}.`);
  }
  const problem = textProblem(bound);
  if (problem !== undefined) throw new InvalidArgumentError(path, problem);
}

/** Checks every part of a range. */
export function assertRange(range: KeyRange): void {
  assertBound(range.prefix, 'prefix');
  assertBound(range.start, 'start');
  assertBound(range.end, 'end');
  assertBound(range.after, 'after');
  assertLimit(range.limit);
}

/** Checks and encodes entries that are written together. Where a key comes twice, the last one counts. */
export function encodeEntries(
  entries: readonly { key: string; value: unknown; expiry?: Expiry }[],
): EncodedEntry[] {
  const byKey = new Map<string, EncodedEntry>();
  entries.forEach(({ key, value, expiry }, i) => {
    const path = `entries[${i}]`;
    assertKey(key, `${path}.key`);
    byKey.set(key, {
      key,
      json: encodeValue(value, `${path}.value`),
      lifetime: lifetimeOf(expiry, `${path}.expiry`),
    });
  });
  return [...byKey.values()];
}

/**
 * Checks and encodes the operations of a commit. A key may be checked and written, but written once only: what
 * two writes of one key in one commit mean would differ between backends.
 */
export function encodeOperations(operations: readonly KvOperation[]): EncodedOperation[] {
  const written = new Set<string>();
  return operations.map((operation, i) => {
    const path = `operations[${i}]`;
    assertKey(operation.key, `${path}.key`);
    if (operation.type !== 'check') {
      if (written.has(operation.key)) {
        throw new InvalidArgumentError(
          `${path}.key`,
          `"${operation.key}" is written twice; write a key once.`,
        );
      }
      written.add(operation.key);
    }
    return encodeOperation(operation, path);
  });
}

function encodeOperation(operation: KvOperation, path: string): EncodedOperation {
  const { type, key } = operation;
  switch (type) {
    case 'check':
      assertExpectedVersion(operation.version, `${path}.version`);
      if (operation.version === undefined) {
        throw new InvalidArgumentError(`${path}.version`, "must be a bigint such as 1n, or 'absent'.");
      }
      return { type, key, version: operation.version };
    case 'set':
      return {
        type,
        key,
        json: encodeValue(operation.value, `${path}.value`),
        lifetime: lifetimeOf(operation.expiry, `${path}.expiry`),
      };
    case 'delete':
      return { type, key };
    case 'increment':
      assertIncrement(operation.by, `${path}.by`);
      return { type, key, by: operation.by, lifetime: lifetimeOf(operation.expiry, `${path}.expiry`) };
    default:
      throw new InvalidArgumentError(
        `${path}.type`,
        `'${String(type)}' is not check, set, delete or increment.`,
      );
  }
}

function describeType(value: unknown): string {
  return value === null ? 'null' : typeof value;
}
