import { InvalidArgumentError, assertJson } from '@nestbox/core';

/** As deep as JSON may be. */
const MAX_DEPTH = 1000;
/** superjson refuses them, since some code that copies such properties ruins a prototype. */
const DANGEROUS = new Set(['__proto__', 'constructor', 'prototype']);
const ERROR_PROPERTIES = new Set(['name', 'message', 'cause', 'stack']);
/** The objects that are written as one value. */
const LEAVES = [Date, RegExp, URL];

/**
 * Refuses what would be lost or changed on the way through `typedCodec`, and names its path.
 *
 * @throws InvalidArgumentError
 */
export function assertTyped(value: unknown, path: string): void {
  new Check(path).visit(value);
}

class Check {
  /** The way to the current value. A path is made of it when it is needed. */
  private readonly keys: (string | number)[] = [];
  /** The objects that the current value is in, with the number of keys that lead to each. */
  private readonly open = new Map<object, number>();

  constructor(private readonly root: string) {}

  visit(value: unknown): void {
    if (typeof value === 'object') {
      if (value !== null) this.visitObject(value);
    } else if (typeof value === 'string' || typeof value === 'function' || typeof value === 'symbol') {
      this.assertJson(value);
    }
  }

  private visitObject(object: object): void {
    const seenAt = this.open.get(object);
    if (seenAt !== undefined) {
      const target = this.path(this.keys.slice(0, seenAt));
      this.refuse(`refers back to ${target}, and JSON cannot hold a circle; store an id in its place.`);
    }
    if (this.keys.length >= MAX_DEPTH)
      this.refuse(`is nested deeper than ${MAX_DEPTH} levels; store it flatter.`);
    this.open.set(object, this.keys.length);
    this.inside(object);
    this.open.delete(object);
  }

  private inside(object: object): void {
    if (Array.isArray(object)) return this.array(object);
    const prototype: unknown = Object.getPrototypeOf(object);
    if (prototype === Object.prototype || prototype === null) return this.properties(object);
    if (object instanceof Error) return this.error(object);
    if (prototype === Map.prototype || prototype === Set.prototype) {
      return this.entries(object as Iterable<unknown>);
    }
    // Instances of other classes are refused; plain objects of other realms are left as they are by superjson.
    if (!LEAVES.some((type) => prototype === type.prototype)) return this.assertJson(object);
    this.assertBare(object);
    if (object instanceof Date && Number.isNaN(object.getTime())) {
      this.refuse('is an invalid Date; use null, or leave the property out.');
    }
  }

  private array(array: readonly unknown[]): void {
    // Array.prototype is an array itself, in every realm; the prototype of a subclass is not.
    if (!Array.isArray(Object.getPrototypeOf(array))) return this.assertJson(array);
    this.assertBare(array, array.length);
    for (let i = 0; i < array.length; i++) {
      // superjson drops a hole at the end, and JSON.stringify makes null of the others.
      if (!(i in array)) this.at(i, () => this.refuse('is a hole in an array; use undefined or null.'));
      this.step(i, array[i]);
    }
  }

  /** In JSON, an entry of a Map is an array of its key and its value. */
  private entries(entries: Iterable<unknown>): void {
    this.assertBare(entries);
    let i = 0;
    for (const entry of entries) this.step(i++, entry);
  }

  private properties(object: object): void {
    this.assertNoSymbols(object);
    for (const [key, value] of Object.entries(object)) {
      if (DANGEROUS.has(key)) {
        this.at(key, () => this.refuse('is a property name that the codec does not keep; choose another.'));
      }
      this.step(key, value);
    }
  }

  private error(error: Error): void {
    this.assertNoSymbols(error);
    const lost = Object.getOwnPropertyNames(error).find((name) => !ERROR_PROPERTIES.has(name));
    if (lost !== undefined) {
      const problem =
        'is lost, since of an Error only name, message and cause are kept; store it beside the error.';
      this.at(lost, () => this.refuse(problem));
    }
    this.step('name', error.name);
    this.step('message', error.message);
    if ('cause' in error) this.step('cause', error.cause);
  }

  private step(key: string | number, value: unknown): void {
    this.keys.push(key);
    this.visit(value);
    this.keys.pop();
  }

  private at(key: string | number, refuse: () => never): never {
    this.keys.push(key);
    return refuse();
  }

  /** Arrays have an enumerable property for each element; the other objects here have none. */
  private assertBare(object: object, elements = 0): void {
    this.assertNoSymbols(object);
    const keys = Object.keys(object);
    if (keys.length <= elements) return;
    this.at(keys.at(-1)!, () =>
      this.refuse('is a property that the codec does not keep; use a plain object.'),
    );
  }

  private assertNoSymbols(object: object): void {
    if (Object.getOwnPropertySymbols(object).length === 0) return;
    this.refuse('has a symbol as a property, which the codec does not keep; remove it.');
  }

  private assertJson(value: unknown): void {
    // A text is sound so often that its path would be made for nothing.
    if (typeof value === 'string' && !value.includes('\0') && value.isWellFormed()) return;
    assertJson(value, this.path());
  }

  private refuse(problem: string): never {
    throw new InvalidArgumentError(this.path(), problem);
  }

  private path(keys: readonly (string | number)[] = this.keys): string {
    return this.root + keys.map(step).join('');
  }
}

function step(key: string | number): string {
  if (typeof key === 'number') return `[${key}]`;
  return /^[\p{L}_$][\p{L}\p{N}_$]*$/u.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`;
}
