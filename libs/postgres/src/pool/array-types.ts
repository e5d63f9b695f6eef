import type { Row } from '../driver.js';
import { formatArray, parseArray } from './array-text.js';
import { passingTexts } from './text-statement.js';

/** What postgres.js keeps about types, by their oid. */
export interface TypeTables {
  parsers: Record<string, ((text: string) => unknown) | undefined>;
  serializers: Record<string, ((value: unknown) => unknown) | undefined>;
  shared: { typeArrayMap: Record<string, number> };
}

/** All types that have an array type, but for those of tables' rows. */
export const ARRAY_TYPES = `
  select oid::text as element, typarray::text as list, typdelim::text as delimiter
    from pg_catalog.pg_type
   where typarray <> 0
     and (typtype <> 'c' or exists (select from pg_catalog.pg_class c where c.oid = typrelid and c.relkind = 'c'))`;

/**
 * Lets postgres.js read and write arrays of the types that {@link ARRAY_TYPES} found. It could find them itself
 * (`fetch_types`), but a connection that is lost meanwhile then ends the process with an unhandled rejection.
 */
export function addArrayTypes({ parsers, serializers, shared }: TypeTables, rows: readonly Row[]): void {
  for (const row of rows) {
    const [element, list] = [String(row['element']), String(row['list'])];
    const type = {
      // Looked up when they are needed, as the types of elements may be known by then only.
      parse: (text: string) => (parsers[element] ?? String)(text),
      serialize: (value: unknown) => (serializers[element] ?? String)(value),
      delimiter: String(row['delimiter']),
    };
    shared.typeArrayMap[element] = Number(list);
    parsers[list] ??= (text) => parseArray(text, type);
    // An array's text, such as that of `textArray`, is taken as it is.
    serializers[list] ??= passingTexts((value) => (Array.isArray(value) ? formatArray(value, type) : value));
  }
}

/** Whether {@link addArrayTypes} has been called. */
export function arrayTypesAreKnown({ shared }: TypeTables): boolean {
  return Object.keys(shared.typeArrayMap).length > 0;
}
