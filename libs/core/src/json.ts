import { InvalidArgumentError } from './errors.js';
import { textProblem } from './text.js';

/** What JSON can hold, and nothing that merely turns into it. */
export type JsonValue = null | boolean | number | string | JsonValue[] | { [key: string]: JsonValue };
export type JsonObject = { [key: string]: JsonValue };

/** PostgreSQL's parser runs out of stack somewhere past 6,000 levels; nobody means to nest this deep. */
const MAX_DEPTH = 1000;

/**
 * Encodes a value that JSON can hold without loss, and refuses all else: a value that is accepted comes back equal.
 * (`-0` is written as `0`, as JSON.stringify does.)
 *
 * @param path what to call the value in an error
 * @throws InvalidArgumentError naming the JSON path, for `undefined`, functions, symbols, bigint, `NaN`, `Infinity`,
 *   Date and other class instances, NUL characters, lone surrogates, holes in arrays, circular references, and
 *   nesting over 1,000 levels
 */
export function encodeJson(value: unknown, path = 'value'): string {
  assertJson(value, path);
  return JSON.stringify(value);
}

/** The check of {@link encodeJson} alone. */
export function assertJson(value: unknown, path = 'value'): asserts value is JsonValue {
  const found = findProblem(value, 0);
  if (found !== undefined) {
    throw new InvalidArgumentError(path + found.steps.reverse().join(''), found.problem);
  }
}

interface Problem {
  problem: string;
  /** From the culprit up to the root, so that a sound value costs no path building. */
  steps: string[];
}

function findProblem(value: unknown, depth: number): Problem | undefined {
  switch (typeof value) {
    case 'string':
      return problemOf(textProblem(value));
    case 'number':
      return Number.isFinite(value) ? undefined : problemOf(`${value} is not a JSON number; use null or a string.`);
    case 'boolean':
      return undefined;
    case 'object':
      if (value === null) return undefined;
      if (depth >= MAX_DEPTH) return problemOf(`is nested deeper than ${MAX_DEPTH} levels, or refers to itself.`);
      return Array.isArray(value) ? findInArray(value, depth) : findInObject(value, depth);
    case 'bigint':
      return problemOf('is a bigint, which JSON cannot hold; store it as a string.');
    case 'undefined':
      return problemOf('is undefined, which JSON cannot hold; use null, or leave the property out.');
    case 'function':
    case 'symbol':
      return problemOf(`is a ${typeof value}, which JSON cannot hold; remove it.`);
  }
}

function findInArray(array: unknown[], depth: number): Problem | undefined {
  for (let i = 0; i < array.length; i++) {
    const found = findProblem(array[i], depth + 1);
    if (found !== undefined) {
      found.steps.push(`[${i}]`);
      return found;
    }
  }
  return undefined;
}

function findInObject(object: object, depth: number): Problem | undefined {
  const prototype: unknown = Object.getPrototypeOf(object);
  if (prototype !== Object.prototype && prototype !== null) {
    // A plain object from another realm (a vm context, as in Jest) has a prototype that is itself a root.
    const foreign = Object.getPrototypeOf(prototype) === null && Object.hasOwn(prototype as object, 'isPrototypeOf');
    if (!foreign) return problemOf(instanceProblem(object));
  }
  if (typeof (object as { toJSON?: unknown }).toJSON === 'function') {
    return problemOf('has a toJSON method, so that it would not come back equal; convert it first.');
  }
  if (Object.getOwnPropertySymbols(object).length > 0) {
    return problemOf('has a symbol as a property, which JSON cannot hold; remove it.');
  }
  for (const [key, item] of Object.entries(object)) {
    const found = problemOf(textProblem(key)) ?? findProblem(item, depth + 1);
    if (found !== undefined) {
      found.steps.push(step(key));
      return found;
    }
  }
  return undefined;
}

function instanceProblem(object: object): string {
  const name = (object.constructor as { name?: string } | undefined)?.name ?? 'unnamed class';
  if (name === 'Date') return 'is a Date, which JSON cannot hold; store toISOString() or getTime().';
  return `is an instance of ${name}, which JSON cannot hold; convert it to a plain object or array.`;
}

function problemOf(problem: string | undefined): Problem | undefined {
  return problem === undefined ? undefined : { problem, steps: [] };
}

function step(key: string): string {
  return /^[\p{L}_$][\p{L}\p{N}_$]*$/u.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`;
}
