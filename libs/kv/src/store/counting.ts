import { InvalidArgumentError } from '@nestbox/core';
import { assertIncrement } from '../adapter-support.js';

/**
 * A whole number as a bigint.
 *
 * @throws InvalidArgumentError for a fraction, a number beyond 2^53 - 1 (which may not be the one that was meant), or
 *   a bigint beyond 64 bits
 */
export function wholeNumber(number: number | bigint, path: string): bigint {
  if (typeof number === 'bigint') {
    assertIncrement(number, path);
    return number;
  }
  if (!Number.isSafeInteger(number)) {
    throw new InvalidArgumentError(
      path,
      `${String(number)} must be a whole number up to 2^53 - 1, or a bigint.`,
    );
  }
  return BigInt(number);
}
