import type { JsonObject, JsonValue } from '@nestbox/core';
import { textArray } from '@nestbox/postgres';
import type { Comparison, DocumentQuery } from '../documents/document-query.js';
import { isIdOrder } from '../documents/match.js';

/** An SQL text, and what `$1`, `$2`… in it stand for. */
export interface Statement {
  readonly text: string;
  readonly params: readonly unknown[];
}

type Filter = Pick<DocumentQuery, 'contains' | 'comparisons' | 'ids'>;

const COLUMNS = 'd._id as id, d.data::text as data, d._version as version';

/**
 * Selects what `selectDocuments` of match.ts does, but that texts are compared by the collation of the database.
 *
 * @param table the quoted name
 */
export function findStatement(table: string, partition: string, query: DocumentQuery): Statement {
  const params = new Params();
  const where = conditions(params, partition, query);
  const limit = query.limit === undefined ? '' : ` limit ${params.add(String(query.limit))}::text::bigint`;
  const { key, order, after } = ordering(params, query);
  if (after.length < 2) {
    const all = [...where, ...after].join(' and ');
    return params.bind(`select ${COLUMNS} from ${table} d where ${all} order by ${order}${limit}`);
  }
  // One index cannot be read from a value on and among those without a value at once; but one after the other.
  const parts = after.map(
    (position) =>
      `(select ${COLUMNS}, ${key} as value from ${table} d
         where ${[...where, position].join(' and ')} order by ${order}${limit})`,
  );
  return params.bind(
    `select u.id, u.data, u.version from (${parts.join(' union all ')}) u order by u.value, u.id${limit}`,
  );
}

/** @param table the quoted name */
export function countStatement(table: string, partition: string, filter: Filter): Statement {
  const params = new Params();
  const where = conditions(params, partition, filter).join(' and ');
  return params.bind(`select count(*) as number from ${table} d where ${where}`);
}

class Params {
  private readonly values: unknown[] = [];

  add(value: unknown): string {
    return `$${this.values.push(value)}`;
  }

  json(value: JsonValue): string {
    return `${this.add(JSON.stringify(value))}::text::jsonb`;
  }

  texts(values: readonly string[]): string {
    return `${this.add(textArray(values))}::text[]`;
  }

  bind(text: string): Statement {
    return { text, params: this.values };
  }
}

function conditions(params: Params, partition: string, { contains, comparisons, ids }: Filter): string[] {
  const found = [`d.partition = ${params.add(partition)}`];
  if (ids !== undefined) found.push(`d._id = any (${params.texts(ids)})`);
  if (contains !== undefined) {
    found.push(`d.data @> ${params.json(contains)}`);
    // Says nothing new, but an index of one path serves no containment.
    for (const { path, value } of scalarsOf(contains)) found.push(`${valueAt(path)} = ${params.json(value)}`);
  }
  for (const comparison of comparisons) found.push(condition(params, comparison));
  return found;
}

function condition(params: Params, { path, operator, value }: Comparison): string {
  const at = valueAt(path);
  switch (operator) {
    case '$exists':
      return `${at} is ${value === true ? 'not null' : 'null'}`;
    case '$eq':
      return `${at} = ${params.json(value)}`;
    case '$ne':
      return `${at} is distinct from ${params.json(value)}`;
    case '$in':
      return `${at} = any (${jsonArray(params, value)})`;
    case '$nin':
      return `(${at} = any (${jsonArray(params, value)})) is not true`;
    case '$gt':
      return among(value, at, `> ${params.json(value)}`);
    case '$gte':
      return among(value, at, `>= ${params.json(value)}`);
    case '$lt':
      return among(value, at, `< ${params.json(value)}`);
    case '$lte':
      return among(value, at, `<= ${params.json(value)}`);
  }
}

/** Holds only among values of the operand's kind. */
function among(operand: JsonValue, at: string, comparison: string): string {
  return `${at} ${comparison} and jsonb_typeof(${at}) = '${kindOf(operand)}'`;
}

function kindOf(value: JsonValue): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'array' : typeof value;
}

function jsonArray(params: Params, values: JsonValue): string {
  return `${params.texts((values as JsonValue[]).map((value) => JSON.stringify(value)))}::jsonb[]`;
}

/**
 * The order, and the alternatives that hold behind the query's `after`: none when there is no `after`, and if there
 * are two, the documents of the first come before those of the second.
 */
function ordering(
  params: Params,
  { sort, after }: DocumentQuery,
): { key: string; order: string; after: string[] } {
  const descending = sort?.descending === true;
  if (sort === undefined || isIdOrder(sort)) {
    const behind = after && `d._id ${descending ? '<' : '>'} ${params.add(after.id)}`;
    const order = `d._id${descending ? ' desc' : ''}`;
    return { key: 'd._id', order, after: behind === undefined ? [] : [behind] };
  }
  const key = valueAt(sort.path);
  // As PostgreSQL has it anyway, absent values are last, descending first.
  const order = `${key}${descending ? ' desc' : ''}, d._id`;
  if (after === undefined) return { key, order, after: [] };
  const id = params.add(after.id);
  if (after.value === undefined) {
    const behind = descending ? `(${key} is not null or d._id > ${id})` : `${key} is null and d._id > ${id}`;
    return { key, order, after: [behind] };
  }
  const value = params.json(after.value);
  if (descending)
    return { key, order, after: [`${key} <= ${value} and (${key} < ${value} or d._id > ${id})`] };
  return { key, order, after: [`(${key}, d._id) > (${value}, ${id})`, `${key} is null`] };
}

/** The texts, numbers, booleans and nulls that a containment asks for, outside of arrays. */
function scalarsOf(
  contains: JsonObject,
  parents: readonly string[] = [],
): { path: readonly string[]; value: JsonValue }[] {
  return Object.entries(contains).flatMap(([key, value]) => {
    const path = [...parents, key];
    if (typeof value !== 'object' || value === null) return [{ path, value }];
    return Array.isArray(value) ? [] : scalarsOf(value, path);
  });
}

/** Written out, and as the indexes of a collection have it: an index serves only the expression that it was made of. */
function valueAt(path: readonly string[]): string {
  return `(d.data #> ${quoteLiteral(textArray(path))}::text[])`;
}

/** Right whatever `standard_conforming_strings` says. */
function quoteLiteral(text: string): string {
  const quoted = `'${text.replaceAll("'", "''")}'`;
  return text.includes('\\') ? `E${quoted.replaceAll('\\', '\\\\')}` : quoted;
}
