import type { ExpectedVersion } from '../kv.adapter.js';
import { NotACounterError, VersionConflictError } from '../kv.errors.js';
import { addToCounter, type EncodedOperation, type Lifetime } from '../adapter-support.js';

/** A write of one key that has been checked, its value as JSON text. */
export type WriteOperation =
  | { type: 'set'; key: string; json: string; lifetime: Lifetime; expected?: ExpectedVersion }
  | { type: 'delete'; key: string; expected?: ExpectedVersion }
  | Increment;

export interface Increment {
  type: 'increment';
  key: string;
  by: bigint;
  lifetime: Lifetime;
}

export type PlainSet = WriteOperation & { type: 'set'; lifetime: number | 'never'; expected?: undefined };

/** `version` is undefined where nothing was there to be deleted; `sum` is that of an increment. */
export interface Done {
  type: 'done';
  version: bigint | undefined;
  sum?: bigint;
}

/** What became of an operation. */
export type Outcome =
  | Done
  | { type: 'conflict'; current: bigint | undefined }
  | { type: 'no counter'; json: string }
  | { type: 'failed'; error: unknown };

/** A set without condition, whose expiry does not depend on the entry that it replaces. */
export function isPlainSet(operation: WriteOperation): operation is PlainSet {
  return operation.type === 'set' && operation.expected === undefined && operation.lifetime !== 'keep';
}

export function isPlainDelete(operation: WriteOperation): boolean {
  return operation.type === 'delete' && operation.expected === undefined;
}

/** The outcome of a write that was done; throws what the caller of another one shall get. */
export function doneOrThrow(operation: WriteOperation, outcome: Outcome): Done {
  switch (outcome.type) {
    case 'done':
      return outcome;
    case 'conflict':
      if (operation.type === 'increment' || operation.expected === undefined) break;
      throw new VersionConflictError(operation.key, operation.expected, outcome.current);
    case 'no counter':
      if (operation.type === 'increment') throw notACounter(operation.key, outcome.json, operation.by);
      break;
    case 'failed':
      throw outcome.error;
  }
  throw new Error(`The database answered ${operation.type} with ${outcome.type}.`);
}

/** Says why a value cannot be incremented. */
export function notACounter(key: string, json: string, by: bigint): unknown {
  try {
    addToCounter(key, json, by);
  } catch (error) {
    return error;
  }
  return new NotACounterError(key, `its value is ${json}.`);
}

/** An operation as the function `<table>_apply` takes it. */
export function operationJson(operation: WriteOperation | EncodedOperation): string {
  const parts = [`"type":"${operation.type}"`, `"key":${JSON.stringify(operation.key)}`];
  if (operation.type === 'check') {
    parts.push(expectedJson(operation.version));
  } else if ('expected' in operation && operation.expected !== undefined) {
    parts.push(expectedJson(operation.expected));
  }
  if (operation.type === 'set') parts.push(`"value":${operation.json}`);
  if (operation.type === 'increment') parts.push(`"by":${operation.by}`);
  if (operation.type === 'set' || operation.type === 'increment') {
    const { lifetime } = operation;
    if (lifetime === 'keep') parts.push('"keep":true');
    else if (lifetime !== 'never') parts.push(`"ttl":${lifetime}`);
  }
  return `{${parts.join(',')}}`;
}

function expectedJson(version: ExpectedVersion): string {
  return `"expected":${version === 'absent' ? 0 : version}`;
}
