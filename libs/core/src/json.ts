import { InvalidArgumentError } from './errors.js';
import { textProblem } from './text.js';

/** What JSON can hold, and nothing that merely turns into it. */
export type JsonValue = null | boolean | number | string | JsonValue[] | { [key: string]: JsonValue };
/** An object of plain JSON. */
export type JsonObject = { [key: string]: JsonValue };

/** PostgreSQL's parser runs out of stack somewhere past 6,000 levels; nobody means to nest this deep. */
const MAX_DEPTH = 1000;
const TOO_DEEP = `is nested deeper than ${MAX_DEPTH} levels; store it flatter.`;

/**
 * Encodes a value that JSON can hold without loss, and refuses all else: a value that is accepted comes back equal.
 * (`-0` is written as `0`, as JSON.stringify does.)
 *
 * @param path what to call the value in an error
 * @throws InvalidArgumentError naming the JSON path, for `undefined`, functions, symbols, bigint, `NaN`, `Infinity`,
 *   Date and other class instances, `toJSON` methods, NUL characters, lone surrogates, holes in arrays and named
 *   properties on them, circular references, and nesting over 1,000 levels
 */
export function encodeJson(value: unknown, path = 'value'): string {
  assertJson(value, path);
  return JSON.stringify(value);
}

/** The check of {@link encodeJson} alone. */
export function assertJson(value: unknown, path = 'value'): asserts value is JsonValue {
  const found = findProblem(value, 0);
  if (found === undefined) return;
  const keys = found.keys.reverse();
  if (found.problem === TOO_DEEP) throw depthError(value, keys, path);
  throw new InvalidArgumentError(pathTo(keys, path), found.problem);
}

interface Problem {
  problem: string;
  /** From the culprit up to the root, so that a sound value costs no path building. */
  keys: (string | number)[];
}

function findProblem(value: unknown, depth: number): Problem | undefined {
  switch (typeof value) {
    case 'string':
      return problemOf(textProblem(value));
    case 'number':
      return Number.isFinite(value)
        ? undefined
        : problemOf(`${value} is not a JSON number; use null or a string.`);
    case 'boolean':
      return undefined;
    case 'object':
      if (value === null) return undefined;
      if (depth >= MAX_DEPTH) return problemOf(TOO_DEEP);
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
  // Array.prototype is an array itself, in every realm; the prototype of a subclass is not.
  if (!Array.isArray(Object.getPrototypeOf(array))) return problemOf(instanceProblem(array));
  for (let i = 0; i < array.length; i++) {
    const found = findProblem(array[i], depth + 1);
    if (found !== undefined) {
      found.keys.push(i);
      return found;
    }
  }
  if (hasSymbols(array)) return problemOf(SYMBOL_PROPERTY);
  if (Object.keys(array).length > array.length) {
    const name = Object.keys(array)[array.length]!;
    return problemOf(
      `is an array with the property ${JSON.stringify(name)}, which JSON cannot hold; use an object.`,
    );
  }
  return undefined;
}

function findInObject(object: object, depth: number): Problem | undefined {
  if (!isPlain(object)) return problemOf(instanceProblem(object));
  if ('toJSON' in object && typeof object.toJSON === 'function') {
    return problemOf('has a toJSON method, so that it would not come back equal; convert it first.');
  }
  if (hasSymbols(object)) return problemOf(SYMBOL_PROPERTY);
  for (const key of Object.keys(object)) {
    const found = keyProblem(key) ?? findProblem((object as Record<string, unknown>)[key], depth + 1);
    if (found !== undefined) {
      found.keys.push(key);
      return found;
    }
  }
  return undefined;
}

function isPlain(object: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(object);
  if (prototype === Object.prototype || prototype === null) return true;
  // A plain object from another realm (a vm context, as in Jest) has a prototype that is itself a root.
  return Object.getPrototypeOf(prototype) === null && Object.hasOwn(prototype as object, 'isPrototypeOf');
}

const SYMBOL_PROPERTY = 'has a symbol as a property, which JSON cannot hold; remove it.';

function hasSymbols(object: object): boolean {
  return Object.getOwnPropertySymbols(object).length > 0;
}

function keyProblem(key: string): Problem | undefined {
  const problem = textProblem(key);
  return problem === undefined ? undefined : problemOf(`the property name ${problem}`);
}

function instanceProblem(object: object): string {
  const name = (object.constructor as { name?: unknown } | undefined)?.name;
  if (name === 'Date') return 'is a Date, which JSON cannot hold; store toISOString() or getTime().';
  const named = typeof name === 'string' && name !== '' ? name : 'an unnamed class';
  return `is an instance of ${named}, which JSON cannot hold; convert it to a plain object or array.`;
}

function problemOf(problem: string): Problem;
function problemOf(problem: string | undefined): Problem | undefined;
function problemOf(problem: string | undefined): Problem | undefined {
  return problem === undefined ? undefined : { problem, keys: [] };
}

/** Goes down to where it is too deep once more, to tell a circular reference, and where it closes, from mere depth. */
function depthError(root: unknown, keys: readonly (string | number)[], path: string): InvalidArgumentError {
  const depthOf = new Map<unknown, number>();
  let value = root;
  for (let depth = 0; depth < keys.length; depth++) {
    depthOf.set(value, depth);
    value = (value as Record<string | number, unknown>)[keys[depth]!];
    const seenAt = depthOf.get(value);
    if (seenAt !== undefined) {
      const target = pathTo(keys.slice(0, seenAt), path);
      return new InvalidArgumentError(
        pathTo(keys.slice(0, depth + 1), path),
        `refers back to ${target}, and JSON cannot hold a circle; store an id in its place.`,
      );
    }
  }
  return new InvalidArgumentError(path, TOO_DEEP);
}

function pathTo(keys: readonly (string | number)[], path: string): string {
  return path + keys.map(step).join('');
}

function step(key: string | number): string {
  if (typeof key === 'number') return `[${key}]`;
  return /^[\p{L}_$][\p{L}\p{N}_$]*$/u.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`;
}
