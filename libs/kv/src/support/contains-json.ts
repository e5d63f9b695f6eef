import type { JsonValue } from '@nestbox/core';

/**
 * Whether a JSON value contains another one, as PostgreSQL's `jsonb @> jsonb` defines it: an object contains the
 * objects that have some of its members, an array the arrays whose elements it all has (in any order, however
 * often), and at the top an array also contains each plain value that is one of its elements.
 */
export function containsJson(value: JsonValue, part: JsonValue): boolean {
  if (Array.isArray(value) && !isContainer(part)) return value.includes(part);
  return contains(value, part);
}

function contains(value: JsonValue, part: JsonValue): boolean {
  if (!isContainer(part)) return value === part;
  if (!isContainer(value)) return false;
  if (Array.isArray(part)) {
    return Array.isArray(value) && part.every((item) => value.some((candidate) => contains(candidate, item)));
  }
  return (
    !Array.isArray(value) &&
    Object.entries(part).every(([key, item]) => Object.hasOwn(value, key) && contains(value[key]!, item))
  );
}

function isContainer(value: JsonValue): value is JsonValue[] | { [key: string]: JsonValue } {
  return typeof value === 'object' && value !== null;
}
