import { assertIdentifier } from '@nestbox/core';

/**
 * An SQL identifier in double quotes, so that keywords, capitals and any other character are taken literally.
 *
 * @throws InvalidArgumentError when it is empty, malformed or longer than 63 bytes
 */
export function quoteIdentifier(name: string): string {
  assertIdentifier(name, 'identifier');
  return `"${name.replaceAll('"', '""')}"`;
}

/**
 * A PostgreSQL array literal. Bind it as `$1::text[]`: then it needs no array types of the driver, whatever client
 * or connection runs the statement.
 */
export function textArray(values: readonly (string | null)[]): string {
  let literal = '{';
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (i > 0) literal += ',';
    literal += value === null ? 'NULL' : `"${value.replaceAll(/["\\]/g, '\\$&')}"`;
  }
  return literal + '}';
}
