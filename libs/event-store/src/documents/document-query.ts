import type { JsonObject, JsonValue } from '@nestbox/core';

/** How a value of a document is compared. */
export type ComparisonOperator = '$eq' | '$ne' | '$gt' | '$gte' | '$lt' | '$lte' | '$in' | '$nin' | '$exists';

/** One condition on the value at a path. */
export interface Comparison {
  readonly path: readonly string[];
  readonly operator: ComparisonOperator;
  /** An array for `$in` and `$nin`, a boolean for `$exists`. */
  readonly value: JsonValue;
}

/** A checked filter, all of whose conditions must hold, and the order. */
export interface DocumentQuery {
  /** What the document must contain, as JSONB `@>` has it. */
  readonly contains: JsonObject | undefined;
  readonly comparisons: readonly Comparison[];
  /** Ids, when the filter names them. */
  readonly ids: readonly string[] | undefined;
  /** Documents with equal values, and all of them without `sort`, are in the order of their ids (UTF-8 bytes). */
  readonly sort: { readonly path: readonly string[]; readonly descending: boolean } | undefined;
  /** Begin behind this one. */
  readonly after: { readonly id: string; readonly value: JsonValue | undefined } | undefined;
  /** At the most; undefined for all. */
  readonly limit: number | undefined;
}
