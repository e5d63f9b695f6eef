import { Buffer } from 'node:buffer';
import { types } from 'node:util';
import { InvalidArgumentError, messageOf } from '@nestbox/core';
import { isErrorLike, partsOf, type ErrorParts } from './error-parts.js';
import { isPlain, isRoot } from './plain-object.js';

/** What one level takes in JSON is three levels at the most, and PostgreSQL's parser takes some 6,000. */
const MAX_DEPTH = 1000;
const TOO_DEEP = `is nested deeper than ${MAX_DEPTH} levels; store it flatter.`;
/** Of the errors inside of one. */
const MAX_NESTED_ERRORS = 1000;
/** Causes of causes; each takes much of the stack. */
const MAX_ERROR_DEPTH = 100;
const OWN = { configurable: true, enumerable: true, writable: true };

type Tagged = { $type: string };

/**
 * Makes of a value one that `JSON.stringify` writes without loss. What needs no change is not copied, so that plain
 * JSON costs one walk.
 */
export class ValueEncoder {
  /** The way to the current value: the objects that it is in, and its key in each. May be longer than its depth. */
  private readonly objects: object[] = [];
  private readonly keys: (string | number)[] = [];
  private errorDepth = 0;
  private nestedErrors = 0;

  constructor(private readonly path: string) {}

  /** @throws InvalidArgumentError */
  encode(value: unknown, depth = 0): unknown {
    switch (typeof value) {
      case 'string':
        return isSound(value) ? value : { $type: 'string', value: JSON.stringify(value).slice(1, -1) };
      case 'number':
        return Number.isFinite(value) && !Object.is(value, -0)
          ? value
          : { $type: 'number', value: value === 0 ? '-0' : String(value) };
      case 'boolean':
        return value;
      case 'object':
        return value === null ? null : this.encodeObject(value, depth);
      case 'undefined':
        return { $type: 'undefined' };
      case 'bigint':
        return { $type: 'bigint', value: String(value) };
      case 'function':
      case 'symbol':
        return this.refuse(depth, `is a ${typeof value}, which cannot be recorded; remove it.`);
    }
  }

  private encodeObject(object: object, depth: number): unknown {
    if (depth >= MAX_DEPTH) return this.refuseDepth();
    this.objects[depth] = object;
    if (Array.isArray(object)) return this.encodeArray(object, depth);
    return isPlain(object)
      ? this.encodePlain(object as Record<string, unknown>, depth)
      : this.encodeInstance(object, depth);
  }

  private encodeArray(array: readonly unknown[], depth: number): unknown {
    // Array.prototype is an array itself, in every realm; the prototype of a subclass is not. Drivers give rows as such.
    if (!Array.isArray(Object.getPrototypeOf(array))) return this.encodeArray(Array.from(array), depth);
    let copy: unknown[] | undefined;
    for (let i = 0; i < array.length; i++) {
      const value = array[i];
      if (value === undefined && !(i in array)) {
        // There may be billions of them.
        this.keys[depth] = i;
        this.refuse(depth + 1, 'is a hole in an array; use undefined or null.');
      }
      const encoded = this.step(value, i, depth);
      if (encoded !== value) (copy ??= [...array])[i] = encoded;
    }
    this.assertBare(array, depth, array.length);
    return copy ?? array;
  }

  private encodePlain(object: Record<string, unknown>, depth: number): unknown {
    this.assertNoSymbols(object, depth);
    let copy: Record<string, unknown> | undefined;
    let isSafe = !Object.hasOwn(object, '$type');
    for (const key of Object.keys(object)) {
      const value = this.read(object, key, depth);
      const encoded = this.step(value, key, depth);
      if (!isSound(key)) isSafe = false;
      if (encoded === value) continue;
      copy ??= { ...object };
      // An assignment to "__proto__" would set the prototype.
      if (key === '__proto__') Object.defineProperty(copy, key, { ...OWN, value: encoded });
      else copy[key] = encoded;
    }
    if (!isSafe) return escaped(copy ?? object);
    // One that is enumerable was refused above.
    if (typeof object['toJSON'] === 'function') this.refuse(depth, 'has a toJSON method; convert it first.');
    return copy ?? object;
  }

  private encodeInstance(object: object, depth: number): unknown {
    if (isErrorLike(object)) return this.encodeError(object, depth);
    return this.encodeBuiltIn(object, depth) ?? this.refuseInstance(object, depth);
  }

  private encodeBuiltIn(object: object, depth: number): Tagged | undefined {
    if (types.isUint8Array(object)) return encodeBytes(object);
    if (types.isDate(object)) {
      // Of any class, since the dates of fake timers have one of their own.
      this.assertBare(object, depth);
      const time = Number(object);
      return { $type: 'Date', value: Number.isNaN(time) ? null : new Date(time).toISOString() } as Tagged;
    }
    // Those of a subclass would come back as something else.
    if (!isRoot(Object.getPrototypeOf(Object.getPrototypeOf(object)))) return undefined;
    if (types.isMap(object)) return this.encodeEntries('Map', object, depth);
    if (types.isSet(object)) return this.encodeEntries('Set', object, depth);
    if (types.isRegExp(object)) {
      this.assertBare(object, depth);
      const value = this.step(object.source, 'source', depth);
      return { $type: 'RegExp', value, flags: object.flags } as Tagged;
    }
    return isUrl(object) ? ({ $type: 'URL', value: object.href } as Tagged) : undefined;
  }

  /** The entry of a Map is an array of its key and its value. */
  private encodeEntries(type: string, entries: Iterable<unknown>, depth: number): Tagged {
    this.assertBare(entries, depth);
    let i = 0;
    const value = Array.from(entries, (entry) => this.step(entry, i++, depth));
    return { $type: type, value } as Tagged;
  }

  /** What cannot be written of an error is left out: an error that tells less is better than none. */
  private encodeError(error: object, depth: number): Tagged {
    // Those that refer to each other could be walked through in more ways than there is time for.
    if (this.errorDepth === 0) this.nestedErrors = 0;
    else if (++this.nestedErrors > MAX_NESTED_ERRORS || this.errorDepth === MAX_ERROR_DEPTH)
      this.refuse(depth, 'is one of too many errors.');
    if (this.objects.indexOf(error) < depth) return this.refuse(depth, 'refers back to itself.');
    this.errorDepth++;
    const tagged = this.encodeParts(partsOf(error), depth);
    this.errorDepth--;
    return tagged;
  }

  /** Never throws. */
  private encodeParts(parts: ErrorParts, depth: number): Tagged {
    const { name, message, stack, code, cause, errors, properties } = parts;
    const tagged: Record<string, unknown> = { $type: 'Error' };
    const add = (target: Record<string, unknown>, key: string, value: unknown): void => {
      const encoded = this.attempt(value, key, depth);
      if (encoded !== undefined) target[key] = encoded.json;
    };
    add(tagged, 'name', name);
    add(tagged, 'message', message);
    if (stack !== undefined) add(tagged, 'stack', stack);
    if (code !== undefined) add(tagged, 'code', code.value);
    if (cause !== undefined) add(tagged, 'cause', cause.value);
    if (errors !== undefined) {
      tagged['errors'] = errors.flatMap((inner) => {
        const encoded = this.attempt(inner, 'errors', depth);
        return encoded === undefined ? [] : [encoded.json];
      });
    }
    // Without a prototype, so that an assignment to "__proto__" does not set it.
    const others = Object.create(null) as Record<string, unknown>;
    for (const [key, value] of properties) add(others, key, value);
    const keys = Object.keys(others);
    if (keys.length === 0) return tagged as Tagged;
    const isSafe = keys.every((key) => key !== '$type' && isSound(key));
    tagged['properties'] = isSafe ? others : escaped(others);
    return tagged as Tagged;
  }

  private attempt(value: unknown, key: string, depth: number): { json: unknown } | undefined {
    try {
      return { json: this.step(value, key, depth) };
    } catch {
      return undefined;
    }
  }

  private step(value: unknown, key: string | number, depth: number): unknown {
    this.keys[depth] = key;
    return this.encode(value, depth + 1);
  }

  private read(object: Record<string, unknown>, key: string, depth: number): unknown {
    try {
      return object[key];
    } catch (error) {
      this.keys[depth] = key;
      return this.refuse(depth + 1, `could not be read: ${messageOf(error)}`, error);
    }
  }

  /** Arrays have a property for each element; the other objects here have none of their own. */
  private assertBare(object: object, depth: number, length = 0): void {
    this.assertNoSymbols(object, depth);
    // Those of elements come first.
    const last = Object.keys(object).at(-1);
    if (last === undefined || (Number(last) < length && String(Number(last) >>> 0) === last)) return;
    this.keys[depth] = last;
    this.refuse(depth + 1, 'is a named property that would be lost; use a plain object.');
  }

  private assertNoSymbols(object: object, depth: number): void {
    if (Object.getOwnPropertySymbols(object).length === 0) return;
    this.refuse(depth, 'has a symbol as a property, which cannot be recorded; remove it.');
  }

  private refuseInstance(object: object, depth: number): never {
    if (types.isPromise(object)) this.refuse(depth, 'is a Promise; await it.');
    const { constructor } = object as { constructor?: { name?: unknown } };
    const name = constructor?.name;
    const named = typeof name === 'string' && name !== '' ? name : 'an unnamed class';
    return this.refuse(
      depth,
      `is an instance of ${named}, which would come back as something else; convert it to a plain object.`,
    );
  }

  private refuseDepth(): never {
    const depthOf = new Map<object, number>();
    for (const [depth, object] of this.objects.entries()) {
      const seenAt = depthOf.get(object);
      if (seenAt !== undefined) {
        const target = this.pathTo(seenAt);
        this.refuse(
          depth,
          `refers back to ${target}, and a circle cannot be recorded; store an id in its place.`,
        );
      }
      depthOf.set(object, depth);
    }
    return this.refuse(0, TOO_DEEP);
  }

  private refuse(depth: number, problem: string, cause?: unknown): never {
    throw new InvalidArgumentError(this.pathTo(depth), problem, cause === undefined ? {} : { cause });
  }

  private pathTo(depth: number): string {
    return this.path + this.keys.slice(0, depth).map(pathStep).join('');
  }
}

/** Whether jsonb takes a text as it is. */
function isSound(text: string): boolean {
  return text.isWellFormed() && !text.includes('\0');
}

/** An object that would be taken for one of ours, or whose keys jsonb refuses; its values are encoded already. */
function escaped(object: Record<string, unknown>): Tagged {
  const keys = new ValueEncoder('');
  return {
    $type: 'Object',
    value: Object.entries(object).map(([key, value]) => [keys.encode(key), value]),
  } as Tagged;
}

function encodeBytes(bytes: Uint8Array): Tagged | undefined {
  const isBuffer = Buffer.isBuffer(bytes);
  // Only the prototype of the class itself has this.
  if (!isBuffer && !Object.hasOwn(Object.getPrototypeOf(bytes) as object, 'BYTES_PER_ELEMENT'))
    return undefined;
  const value = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
  return { $type: isBuffer ? 'Buffer' : 'Uint8Array', value } as Tagged;
}

function isUrl(object: object): object is URL {
  return Object.prototype.toString.call(object) === '[object URL]' && URL.canParse((object as URL).href);
}

function pathStep(key: string | number): string {
  if (typeof key === 'number') return `[${key}]`;
  return /^[\p{L}_$][\p{L}\p{N}_$]*$/u.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`;
}
