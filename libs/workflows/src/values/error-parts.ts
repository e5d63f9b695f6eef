import { types } from 'node:util';
import { isPlain } from './plain-object.js';

/** What there is to record of an error. */
export interface ErrorParts {
  readonly name: string;
  readonly message: string;
  readonly stack: string | undefined;
  /** That it is undefined counts, where the error has the property. */
  readonly code: { readonly value: unknown } | undefined;
  readonly cause: { readonly value: unknown } | undefined;
  /** Those of an AggregateError. */
  readonly errors: readonly unknown[] | undefined;
  /** Its other own enumerable properties. */
  readonly properties: readonly [string, unknown][];
}

const FIELDS = new Set(['name', 'message', 'stack', 'code', 'cause']);

/** By shape: errors of Node's own, and those of other realms, are no instances of this realm's `Error`. */
export function isErrorLike(value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false;
  try {
    if (types.isNativeError(value) || Object.prototype.toString.call(value) === '[object Error]') return true;
    if (isPlain(value)) return false;
    const { name, message, stack } = value as Record<string, unknown>;
    return [name, message, stack].every((text) => typeof text === 'string');
  } catch {
    // A proxy that throws, or a getter.
    return false;
  }
}

/** Reads an error without ever throwing. */
export function partsOf(error: object): ErrorParts {
  const stack = read(error, 'stack');
  const keys = attempt(() => Object.keys(error)) ?? [];
  const errors = keys.includes('errors') ? undefined : read(error, 'errors');
  return {
    name: textOf(read(error, 'name'), 'Error'),
    message: textOf(read(error, 'message'), ''),
    stack: typeof stack === 'string' ? stack : undefined,
    code: find(error, 'code'),
    cause: find(error, 'cause'),
    errors: Array.isArray(errors) ? errors : undefined,
    properties: keys.filter((key) => !FIELDS.has(key)).map((key) => [key, read(error, key)]),
  };
}

function read(error: object, key: string): unknown {
  return attempt((): unknown => Reflect.get(error, key));
}

/** Its own one, or one of its class that says something. */
function find(error: object, key: string): { value: unknown } | undefined {
  const value = read(error, key);
  const isThere = value !== undefined || attempt(() => Object.hasOwn(error, key)) === true;
  return isThere ? { value } : undefined;
}

/** Getters and proxies may throw anything. */
function attempt<R>(fn: () => R): R | undefined {
  try {
    return fn();
  } catch {
    return undefined;
  }
}

function textOf(value: unknown, fallback: string): string {
  if (typeof value === 'string') return value;
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : fallback;
}
