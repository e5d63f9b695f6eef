import { InvalidArgumentError, assertJson, type JsonObject, type JsonValue } from '@nestbox/core';
import { SuperJSON } from 'superjson';
import { assertTyped } from './assert-typed.js';
import type { Codec } from './codec.js';

/** Where the types are kept. What else is there stays as readable, and as good for queries, as JSON without types. */
const TYPES = '$types';
/** Where a value is kept that is no object, or is one with these keys of its own. */
const VALUE = '$value';

type Meta = NonNullable<ReturnType<SuperJSON['serialize']>['meta']>;

const superjson = new SuperJSON();

/**
 * Keeps what JSON cannot hold: Date, bigint, Map, Set, undefined, `NaN`, `Infinity`, `-0`, RegExp, URL and Error (its
 * name, message and cause), at any depth.
 *
 * A Date is written as `"2026-01-31T12:00:00.000Z"` and a bigint as `"42"`, in their place, and `$types` at the top of
 * the object says what they were; an object that is JSON already is written as it is. An object that is referenced
 * twice comes back as two.
 *
 * Everything else is refused with its path: functions, symbols, instances of other classes, invalid dates, circular
 * references, and the property names `__proto__`, `constructor` and `prototype`.
 */
export const typedCodec: Codec = {
  encode(value, path) {
    assertTyped(value, path);
    const { json, meta } = superjson.serialize(value);
    const encoded: unknown = json;
    assertJson(encoded, path);
    // Shared references are left out: restoring them would reorder the sets that hold them.
    return wrap(encoded, meta?.values);
  },

  decode(value) {
    if (!isObject(value) || !isObject(value[TYPES])) return value;
    const { [TYPES]: types, ...rest } = value;
    const json = VALUE in rest ? rest[VALUE]! : rest;
    try {
      return superjson.deserialize({ json: copy(json), meta: types }, { inPlace: true });
    } catch (error) {
      throw new InvalidArgumentError(TYPES, 'was not written by this codec; read the data without it.', {
        cause: error,
      });
    }
  },
};

function wrap(json: JsonValue, values: Meta['values']): JsonValue {
  const types = (values === undefined ? {} : { values, v: 1 }) as JsonObject;
  if (isObject(json)) {
    const reserved = Object.hasOwn(json, TYPES) || (values !== undefined && Object.hasOwn(json, VALUE));
    if (!reserved) return values === undefined ? json : { ...json, [TYPES]: types };
  } else if (values === undefined) return json;
  return { [VALUE]: json, [TYPES]: types };
}

function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Leaves the caller's value alone, and gives objects that were made in another realm the prototype of this one. */
function copy(json: JsonValue): JsonValue {
  if (Array.isArray(json)) return json.map(copy);
  if (!isObject(json)) return json;
  return Object.fromEntries(Object.entries(json).map(([key, value]) => [key, copy(value)]));
}
