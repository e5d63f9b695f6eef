import { inspect } from 'node:util';
import { SpecFailedError } from './spec.errors.js';

/** A class of errors, as `thenThrows` takes it. */
export type ErrorClass<E extends Error = Error> = abstract new (...args: never[]) => E;

/** `thenThrows()`, `thenThrows(CartClosedError)`, `thenThrows((error) => …)`, or both. */
export type ErrorExpectation<E extends Error = Error> = [
  expected?: ErrorClass<E> | ((error: E) => boolean),
  holds?: (error: E) => boolean,
];

/**
 * @param candidates the error, and what it wraps; one of them has to be as expected
 * @throws SpecFailedError
 */
export function expectError<E extends Error>(
  candidates: readonly unknown[],
  [expected, holds]: ErrorExpectation<E>,
): void {
  if (candidates.some((error) => isAsExpected(error, expected, holds))) return;
  const error = candidates.at(-1);
  const wanted =
    expected === undefined || !isErrorClass(expected)
      ? 'Something else was expected to be thrown'
      : `${expected.name} was expected to be thrown${holds === undefined ? '' : ', and to hold'}`;
  throw new SpecFailedError(`${wanted}. What was thrown is: ${describe(error)}`, error, expected, {
    cause: error,
  });
}

/** @throws SpecFailedError */
export function nothingThrown<E extends Error>([expected]: ErrorExpectation<E>, instead: string): never {
  const wanted = expected !== undefined && isErrorClass(expected) ? expected.name : 'An error';
  throw new SpecFailedError(`${wanted} was expected to be thrown, and nothing was. ${instead}`);
}

function describe(error: unknown): string {
  if (typeof error !== 'object' || error === null || !('message' in error)) return inspect(error);
  return `${'name' in error ? String(error.name) : 'Error'}: ${String(error.message)}`;
}

function isAsExpected<E extends Error>(
  error: unknown,
  expected: ErrorExpectation<E>[0],
  holds: ErrorExpectation<E>[1],
): boolean {
  if (expected === undefined) return true;
  if (!isErrorClass(expected)) return expected(error as E);
  return error instanceof expected && (holds === undefined || holds(error));
}

/** A predicate has no `prototype` that is an error. */
function isErrorClass<E extends Error>(
  expected: ErrorClass<E> | ((error: E) => boolean),
): expected is ErrorClass<E> {
  const { prototype } = expected as { prototype?: unknown };
  return typeof prototype === 'object' && prototype !== null && 'name' in prototype && 'message' in prototype;
}
