import { compareUtf8, type JsonObject, type JsonValue } from '@nestbox/core';
import type { Comparison, DocumentQuery } from './document-query.js';
import type { StoredDocument } from './document.backend.js';

/** Whether the filter of a query holds for a document, as the SQL of the PostgreSQL backend has it. */
export function matchesQuery(
  document: Pick<StoredDocument, 'id' | 'data'>,
  query: Pick<DocumentQuery, 'contains' | 'comparisons' | 'ids'>,
): boolean {
  const { contains, comparisons, ids } = query;
  if (ids !== undefined && !ids.includes(document.id)) return false;
  if (contains !== undefined && !containsJson(document.data, contains)) return false;
  return comparisons.every((comparison) => holds(comparison, valueAt(document.data, comparison.path)));
}

/** The matching documents, sorted, behind the query's `after`, `limit` of them. */
export function selectDocuments<D extends Pick<StoredDocument, 'id' | 'data'>>(
  documents: Iterable<D>,
  query: DocumentQuery,
): D[] {
  const { sort, after, limit } = query;
  let found = [...documents].filter((document) => matchesQuery(document, query));
  const entries = found.map((document) => ({ document, key: sortKeyOf(document, query) }));
  entries.sort((a, b) => compareKeys(a.key, b.key, sort));
  found = entries
    .filter(({ key }) => after === undefined || compareKeys(key, after, sort) > 0)
    .map(({ document }) => document);
  return limit === undefined ? found : found.slice(0, limit);
}

/** Whether the documents are in the order of their ids, backwards where `descending`. */
export function isIdOrder(sort: DocumentQuery['sort']): boolean {
  return sort === undefined || (sort.path.length === 1 && sort.path[0] === '_id');
}

/** What places a document in the order of a query. */
export function sortKeyOf(
  document: Pick<StoredDocument, 'id' | 'data'>,
  query: Pick<DocumentQuery, 'sort'>,
): { id: string; value: JsonValue | undefined } {
  const { sort } = query;
  const value = sort === undefined || isIdOrder(sort) ? undefined : valueAt(document.data, sort.path);
  return { id: document.id, value };
}

function compareKeys(
  a: { id: string; value: JsonValue | undefined },
  b: { id: string; value: JsonValue | undefined },
  sort: DocumentQuery['sort'],
): number {
  const sign = sort?.descending === true ? -1 : 1;
  if (isIdOrder(sort)) return sign * compareUtf8(a.id, b.id);
  return sign * compareValues(a.value, b.value) || compareUtf8(a.id, b.id);
}

/** The value at a path, as `data #> path` has it: the steps are keys of objects, or indexes of arrays. */
export function valueAt(data: JsonValue, path: readonly string[]): JsonValue | undefined {
  let value: JsonValue | undefined = data;
  for (const step of path) {
    if (Array.isArray(value)) {
      value = isIndex(step) ? value.at(Number(step)) : undefined;
    } else if (isObject(value)) {
      value = Object.hasOwn(value, step) ? value[step] : undefined;
    } else {
      return undefined;
    }
  }
  return value;
}

/** Whether PostgreSQL takes a step of a path for an index of an array; below 0, it counts from the end. */
export function isIndex(step: string): boolean {
  return /^[ \t-\r]*[+-]?\d+$/.test(step);
}

/** Whether a JSON value contains another one, as `@>` of two JSONB objects has it. */
export function containsJson(value: JsonValue, part: JsonValue): boolean {
  if (Array.isArray(part)) {
    return (
      Array.isArray(value) && part.every((item) => value.some((candidate) => containsJson(candidate, item)))
    );
  }
  if (isObject(part)) {
    return (
      isObject(value) &&
      Object.entries(part).every(
        ([key, item]) => Object.hasOwn(value, key) && containsJson(value[key]!, item),
      )
    );
  }
  return value === part;
}

/**
 * The order of JSONB: null, strings, numbers, booleans (false first), arrays (shorter first), objects (fewer keys
 * first); but an empty array comes before all else. Absent (undefined) values are last.
 *
 * Strings are compared by their UTF-8 bytes; PostgreSQL compares them by the collation of the database.
 */
export function compareValues(a: JsonValue | undefined, b: JsonValue | undefined): number {
  if (a === undefined || b === undefined) return Number(a === undefined) - Number(b === undefined);
  const emptyFirst = Number(isEmptyArray(b)) - Number(isEmptyArray(a));
  return emptyFirst !== 0 && !isObject(a) && !isObject(b) ? emptyFirst : compareJson(a, b);
}

/** Inside of values, empty arrays are arrays like others. */
function compareJson(a: JsonValue, b: JsonValue): number {
  const byKind = kindOf(a) - kindOf(b);
  if (byKind !== 0) return byKind;
  if (typeof a === 'string') return compareUtf8(a, b as string);
  if (typeof a === 'number' || typeof a === 'boolean') return Number(a) - Number(b);
  if (Array.isArray(a)) return compareArrays(a, b as JsonValue[]);
  return a === null ? 0 : compareObjects(a, b as JsonObject);
}

function compareArrays(a: JsonValue[], b: JsonValue[]): number {
  if (a.length !== b.length) return a.length - b.length;
  for (let i = 0; i < a.length; i++) {
    const order = compareJson(a[i]!, b[i]!);
    if (order !== 0) return order;
  }
  return 0;
}

function compareObjects(a: JsonObject, b: JsonObject): number {
  const keysOfA = storedKeys(a);
  const keysOfB = storedKeys(b);
  if (keysOfA.length !== keysOfB.length) return keysOfA.length - keysOfB.length;
  for (let i = 0; i < keysOfA.length; i++) {
    const order = compareUtf8(keysOfA[i]!, keysOfB[i]!) || compareJson(a[keysOfA[i]!]!, b[keysOfB[i]!]!);
    if (order !== 0) return order;
  }
  return 0;
}

/** JSONB keeps keys by their length, then by their bytes. */
function storedKeys(object: JsonObject): string[] {
  return Object.keys(object).sort((a, b) => Buffer.byteLength(a) - Buffer.byteLength(b) || compareUtf8(a, b));
}

function holds({ operator, value: operand }: Comparison, value: JsonValue | undefined): boolean {
  switch (operator) {
    case '$exists':
      return (value !== undefined) === operand;
    case '$eq':
      return areEqual(value, operand);
    case '$ne':
      return !areEqual(value, operand);
    case '$in':
      return (operand as JsonValue[]).some((item) => areEqual(value, item));
    case '$nin':
      return !(operand as JsonValue[]).some((item) => areEqual(value, item));
    case '$gt':
      return areComparable(value, operand) && compareValues(value, operand) > 0;
    case '$gte':
      return areComparable(value, operand) && compareValues(value, operand) >= 0;
    case '$lt':
      return areComparable(value, operand) && compareValues(value, operand) < 0;
    case '$lte':
      return areComparable(value, operand) && compareValues(value, operand) <= 0;
  }
}

function areEqual(a: JsonValue | undefined, b: JsonValue): boolean {
  return a !== undefined && compareJson(a, b) === 0;
}

/** Only what is of one kind is before or behind each other. */
function areComparable(a: JsonValue | undefined, b: JsonValue): boolean {
  return a !== undefined && kindOf(a) === kindOf(b);
}

function kindOf(value: JsonValue): number {
  if (value === null) return 0;
  if (Array.isArray(value)) return 4;
  if (typeof value === 'string') return 1;
  if (typeof value === 'number') return 2;
  return typeof value === 'boolean' ? 3 : 5;
}

function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isEmptyArray(value: JsonValue): boolean {
  return Array.isArray(value) && value.length === 0;
}
