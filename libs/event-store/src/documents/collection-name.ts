import { InvalidArgumentError, assertIdentifier } from '@nestbox/core';

/** The store's own tables begin so. */
const OWN_PREFIX = 'emt_';

/** What the tables end with that a rebuild fills. */
export const SHADOW_SUFFIX = '__rebuild';

/**
 * Checks the name of a collection, or of a table that a projection makes.
 *
 * @throws InvalidArgumentError unless it is an identifier of at most 63 bytes that leaves the store's own names alone
 */
export function assertCollectionName(name: unknown, path: string): asserts name is string {
  assertTableName(name, path);
  if (name.endsWith(SHADOW_SUFFIX)) {
    throw new InvalidArgumentError(
      path,
      `${JSON.stringify(name)} ends with ${SHADOW_SUFFIX}, as only the tables of a rebuild do; choose another name.`,
    );
  }
}

/** As {@link assertCollectionName}, but the table may be one that a rebuild fills. */
export function assertTableName(name: unknown, path: string): asserts name is string {
  assertIdentifier(name, path);
  if (name.startsWith(OWN_PREFIX)) {
    throw new InvalidArgumentError(
      path,
      `${JSON.stringify(name)} begins with ${OWN_PREFIX}, as the store's own tables do; choose another name.`,
    );
  }
}
