import { InvalidArgumentError, assertName } from '@nestbox/core';

/** With room for a number, well within what an index takes. */
const MAX_BYTES = 2_000;

/**
 * The name of a step within a branch. `/` stands between the branch and the name, and `#` before a number; in names, both
 * are written as in URLs.
 *
 * @throws InvalidArgumentError
 */
export function scopedName(scope: string, name: unknown, path: string): string {
  assertName(name, path);
  const scoped = scope + escapeName(name);
  if (scoped.length * 3 > MAX_BYTES && Buffer.byteLength(scoped) > MAX_BYTES) {
    throw new InvalidArgumentError(
      path,
      `is over ${MAX_BYTES} bytes together with its branches; shorten the names.`,
    );
  }
  return scoped;
}

function escapeName(name: string): string {
  return /[/#%]/.test(name) ? name.replaceAll(/[/#%]/g, encodeURIComponent) : name;
}
