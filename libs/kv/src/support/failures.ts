import { ClosedError, InvalidArgumentError, OverloadedError, UnsupportedOperationError } from '@nestbox/core';
import {
  KvOperationError,
  LeaseHeldError,
  LeaseLostError,
  NotACounterError,
  RevisionTrimmedError,
  VersionConflictError,
} from '../kv.errors.js';

/** Errors that say themselves what happened; all others are a backend's failure. */
const OUTCOMES = [
  InvalidArgumentError,
  UnsupportedOperationError,
  ClosedError,
  OverloadedError,
  KvOperationError,
  VersionConflictError,
  NotACounterError,
  RevisionTrimmedError,
  LeaseHeldError,
  LeaseLostError,
] as const;

/**
 * What an adapter throws for a failure: our own errors as they are, anything else as `Failed to <operation>: …`.
 *
 * @param operation such as {@link keyOperation} gives, or `list keys`
 */
export function operationError(operation: string, error: unknown, key?: string): unknown {
  return OUTCOMES.some((outcome) => error instanceof outcome)
    ? error
    : new KvOperationError(operation, error, key);
}

/** The operation as it reads in a message: `set key "a"`. */
export function keyOperation(verb: string, key: string): string {
  return `${verb} key "${key}"`;
}

/** Runs a backend's part of an operation, with its failure named. */
export async function naming<R>(operation: string, fn: () => Promise<R>, key?: string): Promise<R> {
  try {
    return await fn();
  } catch (error) {
    throw operationError(operation, error, key);
  }
}

/** {@link naming} for an operation on one key. */
export function namingKey<R>(verb: string, key: string, fn: () => Promise<R>): Promise<R> {
  return naming(keyOperation(verb, key), fn, key);
}
