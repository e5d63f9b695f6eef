import { InvalidArgumentError, assertJson, assertName, textProblem } from '@nestbox/core';
import type { JsonObject, JsonValue } from '@nestbox/core';
import type { Codec } from '../codec/codec.js';
import { decodeCursor } from './cursor.js';
import type { Comparison, ComparisonOperator, DocumentQuery } from './document-query.js';
import { isIndex } from './match.js';

/**
 * Conditions on one value; all of them must hold. `$gt` and the like hold only among values of one kind, and compare
 * what is stored: with a codec that writes bigints as texts, the texts.
 */
export interface FilterOperators<V = unknown> {
  $eq?: V;
  /** Also holds where there is no value. */
  $ne?: V;
  $gt?: V;
  $gte?: V;
  $lt?: V;
  $lte?: V;
  $in?: readonly V[];
  /** Also holds where there is no value. */
  $nin?: readonly V[];
  $exists?: boolean;
}

/** Of the union that `V` may be, any member; but operands may be of several. */
type FilterValue<V> = PlainValue<V> | FilterOperators<V>;
type PlainValue<V> = V extends readonly unknown[]
  ? V
  : V extends object
    ? { [K in keyof V]?: FilterValue<Exclude<V[K], undefined>> }
    : V;

/**
 * What documents must be like; all conditions must hold. A plain value must be equal, an object or an array contained
 * (as JSONB `@>`), an object of operators must hold. A key such as `customer.city` is a path. `_id` selects by id.
 */
export type DocumentFilter<T> = {
  [K in keyof T as K extends '_id' ? never : K]?: FilterValue<Exclude<T[K], undefined>>;
} & {
  _id?: string | { $in: readonly string[] } | { $eq: string };
} & { [path: `${string}.${string}`]: unknown };

/**
 * `field` or `{ field: 'asc' | 'desc' }`. Ascending: null, texts, numbers, booleans, arrays, objects, absent. Texts are
 * in the order of the database's collation, in memory in that of their bytes.
 */
export type DocumentSort<T> =
  | (keyof T & string)
  | '_id'
  | `${string}.${string}`
  | { readonly [K in (keyof T & string) | '_id' | `${string}.${string}`]?: 'asc' | 'desc' };

/** In which order documents are found, and how many. */
export interface FindOptions<T> {
  /** Documents with equal values, and all of them without this, are in the order of their ids. */
  sort?: DocumentSort<T>;
  /** At the most; at least 1. Default: all. */
  limit?: number;
  /** From the page before, whose `sort` must be the same. */
  cursor?: string;
}

const OPERATORS: ReadonlySet<string> = new Set<ComparisonOperator>([
  '$eq',
  '$ne',
  '$gt',
  '$gte',
  '$lt',
  '$lte',
  '$in',
  '$nin',
  '$exists',
]);

const MAX_PATH_STEPS = 100;

/**
 * Checks a filter and what goes with it.
 *
 * @param codec encodes values that JSON cannot hold
 * @throws InvalidArgumentError naming the part
 */
export function parseFilter<T>(
  filter: DocumentFilter<T> | undefined,
  options: FindOptions<T> = {},
  codec?: Codec,
): DocumentQuery {
  if (!isPlainObject(options)) throw new InvalidArgumentError('options', 'must be an object.');
  const sort = parseSort(options.sort);
  const { limit, cursor }: FindOptions<T> = options;
  if (limit !== undefined && (!Number.isSafeInteger(limit) || limit < 1)) {
    throw new InvalidArgumentError('options.limit', `${String(limit)} must be a whole number of at least 1.`);
  }
  const after = cursor === undefined ? undefined : decodeCursor(cursor, sort);
  return { ...new FilterParser(codec).parse(filter), sort, after, limit };
}

class FilterParser {
  private contains: JsonObject | undefined;
  private readonly comparisons: Comparison[] = [];
  private ids: readonly string[] | undefined;

  constructor(private readonly codec: Codec | undefined) {}

  parse(filter: unknown): Pick<DocumentQuery, 'contains' | 'comparisons' | 'ids'> {
    if (filter !== undefined) {
      if (!isPlainObject(filter)) throw new InvalidArgumentError('filter', 'must be an object.');
      for (const [key, value] of Object.entries(filter)) {
        const at = `filter[${JSON.stringify(key)}]`;
        if (key === '_id') this.ids = parseIds(value, 'filter._id');
        else if (key.startsWith('$')) throw unknownOperator(key, at);
        else {
          const path = parsePath(key, at);
          this.condition(path, value, path.length === 1 ? `filter.${key}` : at);
        }
      }
    }
    return { contains: this.contains, comparisons: this.comparisons, ids: this.ids };
  }

  /** @param at the path in an error */
  private condition(path: readonly string[], value: unknown, at: string): void {
    if (!isPlainObject(value)) return this.equal(path, this.encode(value, at), at);
    const entries = Object.entries(value);
    const operators = entries.filter(([key]) => key.startsWith('$'));
    if (operators.length === 0) {
      if (entries.length === 0) this.equal(path, {}, at);
      for (const [key, item] of entries) this.condition([...path, key], item, `${at}.${key}`);
      return;
    }
    if (operators.length < entries.length) {
      throw new InvalidArgumentError(at, 'has operators beside plain properties; write one or the other.');
    }
    for (const [operator, operand] of operators) this.operator(path, operator, operand, `${at}.${operator}`);
  }

  private operator(path: readonly string[], operator: string, operand: unknown, at: string): void {
    if (!OPERATORS.has(operator)) throw unknownOperator(operator, at);
    let value: JsonValue;
    if (operator === '$exists') {
      if (typeof operand !== 'boolean') throw new InvalidArgumentError(at, 'must be true or false.');
      value = operand;
    } else if (operator === '$in' || operator === '$nin') {
      if (!Array.isArray(operand)) throw new InvalidArgumentError(at, 'must be an array.');
      value = operand.map((item, i) => this.encode(item, `${at}[${i}]`));
    } else {
      value = this.encode(operand, at);
    }
    checkPath(path, at);
    this.comparisons.push({ path, operator: operator as ComparisonOperator, value });
  }

  /** Equality becomes containment, which an index over everything serves, where that means the same. */
  private equal(path: readonly string[], value: JsonValue, at: string): void {
    checkPath(path, at);
    if (path.some(isIndex)) {
      this.comparisons.push({ path, operator: '$eq', value });
      return;
    }
    const merged = added(this.contains ?? {}, path, value);
    if (merged === undefined) throw new InvalidArgumentError(at, 'is named twice in the filter.');
    this.contains = merged;
  }

  private encode(value: unknown, at: string): JsonValue {
    if (this.codec === undefined || value === undefined) {
      assertJson(value, at);
      return value;
    }
    // By itself, for an error that names the path; then as a part of a document, since it is that in what is stored.
    this.codec.encode(value, at);
    const whole = this.codec.encode({ value }, at);
    if (!isPlainObject(whole) || whole['value'] === undefined) {
      throw new InvalidArgumentError(at, 'cannot be searched for, since the codec stores it elsewhere.');
    }
    return whole['value'];
  }
}

/** The object with a value at a path; undefined where something else is there already. */
function added(object: JsonObject, path: readonly string[], value: JsonValue): JsonObject | undefined {
  const [step, ...rest] = path as [string, ...string[]];
  const present = Object.hasOwn(object, step) ? object[step] : undefined;
  let next: JsonValue | undefined;
  if (rest.length === 0) next = present === undefined ? value : undefined;
  else if (present === undefined) next = added({}, rest, value);
  else if (isPlainObject(present)) next = added(present, rest, value);
  if (next === undefined) return undefined;
  // A spread and a computed key keep a property named __proto__.
  return { ...object, [step]: next };
}

function parseIds(value: unknown, at: string): readonly string[] {
  if (typeof value === 'string') {
    assertName(value, at);
    return [value];
  }
  if (isPlainObject(value)) {
    const [entry, ...others] = Object.entries(value);
    if (entry?.[0] === '$eq' && others.length === 0) return parseIds(entry[1], `${at}.$eq`);
    if (entry?.[0] === '$in' && others.length === 0 && Array.isArray(entry[1])) {
      entry[1].forEach((id, i) => assertName(id, `${at}.$in[${i}]`));
      return [...new Set(entry[1] as string[])];
    }
  }
  throw new InvalidArgumentError(at, 'must be an id, or { $in: [ids] }.');
}

function parseSort(sort: unknown): DocumentQuery['sort'] {
  if (sort === undefined) return undefined;
  const entries =
    typeof sort === 'string' ? [[sort, 'asc']] : isPlainObject(sort) ? Object.entries(sort) : [];
  if (entries.length !== 1) {
    throw new InvalidArgumentError('options.sort', "must be a field, or one { field: 'asc' | 'desc' }.");
  }
  const [field, direction] = entries[0] as [string, unknown];
  if (direction !== 'asc' && direction !== 'desc') {
    throw new InvalidArgumentError(`options.sort.${field}`, "must be 'asc' or 'desc'.");
  }
  if (field === '_id' && direction === 'asc') return undefined;
  return { path: parsePath(field, 'options.sort'), descending: direction === 'desc' };
}

/** @throws InvalidArgumentError unless it is a path such as `customer.city` */
export function parsePath(text: string, at: string): readonly string[] {
  const path = text.split('.');
  if (path.includes('')) throw new InvalidArgumentError(at, `${JSON.stringify(text)} has an empty step.`);
  checkPath(path, at);
  return path;
}

function checkPath(path: readonly string[], at: string): void {
  for (const step of path) {
    const problem = textProblem(step);
    if (problem !== undefined) throw new InvalidArgumentError(at, problem);
  }
  if (path.length > MAX_PATH_STEPS) {
    throw new InvalidArgumentError(at, `has more than ${MAX_PATH_STEPS} steps.`);
  }
}

function unknownOperator(operator: string, at: string): InvalidArgumentError {
  const known = [...OPERATORS].join(', ');
  return new InvalidArgumentError(at, `${operator} is not an operator here; known are: ${known}.`);
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  // A plain object of another realm has a prototype that is itself a root.
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}
