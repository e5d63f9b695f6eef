import { addToCounter, type Lifetime } from '../adapter-support.js';
import type { ExpectedVersion } from '../kv.adapter.js';
import { VersionConflictError } from '../kv.errors.js';
import type { KeySpace } from './key-space.js';
import type { RedisAdapterSettings } from './redis-options.js';
import { foreign } from './stored-text.js';

/** One operation of the write script, checked. */
export type WriteOperation =
  | {
      type: 'set';
      key: string;
      json: string;
      lifetime: Lifetime;
      expected?: ExpectedVersion;
      record: boolean;
    }
  | { type: 'delete'; key: string; expected?: ExpectedVersion; record: boolean }
  | { type: 'increment'; key: string; by: bigint; lifetime: Lifetime; record: boolean }
  | { type: 'check'; key: string; expected: ExpectedVersion };

/** What an operation did: where it wrote, `version`; of an increment also `value`. */
export interface Written {
  version?: bigint;
  value?: bigint;
  /** Of a delete: whether there was something; of a check: whether it holds. */
  done?: boolean;
}

/** The keys and arguments of a script. */
export interface ScriptInput {
  keys: string[];
  args: string[];
}

/** Entries are read whole when their new texts are at most this long on average, which is faster for short ones. */
const WHOLE_UP_TO_CHARS = 1024;
/** Lua's `unpack` gives some thousands at the most. */
const WHOLE_UP_TO_COUNT = 1000;

/**
 * The time to live that all have, if the set script can do it: sets of different keys, whatever there was. Else
 * undefined.
 */
export function lifetimeOfSets(operations: readonly WriteOperation[]): Lifetime | undefined {
  const [first] = operations;
  if (first?.type !== 'set' || first.lifetime === 'keep') return undefined;
  const keys = new Set<string>();
  for (const operation of operations) {
    if (operation.type !== 'set' || operation.lifetime !== first.lifetime) return undefined;
    if (operation.expected !== undefined || operation.record) return undefined;
    keys.add(operation.key);
  }
  return keys.size === operations.length ? first.lifetime : undefined;
}

/** What the set script is given for sets of one shard with the same time to live. */
export function encodeSets(
  space: KeySpace,
  settings: RedisAdapterSettings,
  shard: number,
  operations: readonly WriteOperation[],
  lifetime: Lifetime,
): ScriptInput {
  const input = encodeCommon(space, settings, shard, operations);
  input.args.push(lifetime === 'never' ? '' : String(lifetime));
  for (const operation of operations) input.args.push(dataOf(operation));
  return input;
}

/** What the write script is given for operations on one shard. */
export function encodeBatch(
  space: KeySpace,
  settings: RedisAdapterSettings,
  shard: number,
  operations: readonly WriteOperation[],
  mode: 'each' | 'all',
): ScriptInput {
  const { keys, args } = encodeCommon(space, settings, shard, operations);
  args.push(mode, String(operations.length), String(settings.forgetMs), String(settings.maxHistory));
  for (const operation of operations) {
    args.push(dataOf(operation), whatOf(operation));
    if (operation.type !== 'check' && operation.record) keys.push(space.history(operation.key));
  }
  return { keys, args };
}

function encodeCommon(
  space: KeySpace,
  settings: RedisAdapterSettings,
  shard: number,
  operations: readonly WriteOperation[],
): ScriptInput {
  const { meta, changes, due, marks, index } = space.shard(shard);
  const keys = [meta, changes, due, marks, index];
  const beforeEntry = space.beforeEntry(shard);
  let chars = 0;
  for (const operation of operations) {
    keys.push(beforeEntry + operation.key);
    if (operation.type === 'set') chars += operation.json.length;
  }
  const short = operations.length <= WHOLE_UP_TO_COUNT && chars <= WHOLE_UP_TO_CHARS * operations.length;
  const args = [
    String(settings.maxChanges),
    String(settings.maxChangeBytes),
    short ? 'whole' : 'head',
    String(Buffer.byteLength(beforeEntry)),
  ];
  return { keys, args };
}

function whatOf(operation: WriteOperation): string {
  switch (operation.type) {
    case 'set':
      return what('s', operation.lifetime, operation.expected, operation.record);
    case 'delete':
      return what('d', 'never', operation.expected, operation.record);
    case 'increment':
      return what('i', operation.lifetime, undefined, operation.record);
    case 'check':
      return what('c', 'never', operation.expected, false);
  }
}

function what(
  kind: string,
  lifetime: Lifetime,
  expected: ExpectedVersion | undefined,
  record: boolean,
): string {
  const life = lifetime === 'never' ? '' : lifetime === 'keep' ? 'k' : lifetime;
  return `${kind};${life};${expected === 'absent' ? 'a' : (expected ?? '')};${record ? '1' : ''}`;
}

function dataOf(operation: WriteOperation): string {
  if (operation.type === 'set') return operation.json;
  return operation.type === 'increment' ? operation.by.toString() : '';
}

/** What one result of a script means; an Error where the operation was refused. */
export function decodeResult(operation: WriteOperation, result: unknown): Written | Error {
  const { type } = operation;
  if (!Array.isArray(result)) {
    return type === 'delete' || type === 'check'
      ? { done: Number(result) === 1 }
      : { version: BigInt(result as number) };
  }
  if (type === 'increment' && typeof result[0] !== 'string') {
    return { version: BigInt(result[0] as number), value: BigInt(result[1] as string) };
  }
  return refusal(operation, result);
}

function refusal(operation: WriteOperation, [reason, detail]: unknown[]): Error {
  const { key } = operation;
  if (reason === 'conflict' && 'expected' in operation && operation.expected !== undefined) {
    return new VersionConflictError(
      key,
      operation.expected,
      detail === '' ? undefined : BigInt(detail as string),
    );
  }
  if (reason === 'counter' && operation.type === 'increment') {
    try {
      addToCounter(key, detail === '' ? undefined : (detail as string), operation.by);
    } catch (error) {
      // Says in the words of all backends what is wrong.
      return error as Error;
    }
  }
  return foreign(key);
}
