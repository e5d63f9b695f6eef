import { NotACounterError } from '../kv.errors.js';
import { MAX_INT64, MIN_INT64 } from './arguments.js';

/**
 * The sum of a counter and an increment.
 *
 * @param json the counter's value as JSON text, which may hold more digits than a JavaScript number; undefined
 *   (no entry) counts from 0
 * @throws NotACounterError when it is not a whole number, or the sum does not fit 64 bits
 */
export function addToCounter(key: string, json: string | undefined, by: bigint): bigint {
  const sum = counterOf(key, json) + by;
  if (sum > MAX_INT64 || sum < MIN_INT64) {
    throw new NotACounterError(key, `the sum ${sum} does not fit 64 bits.`);
  }
  return sum;
}

function counterOf(key: string, json: string | undefined): bigint {
  if (json === undefined) return 0n;
  if (/^-?\d+$/.test(json)) {
    const value = BigInt(json);
    if (value <= MAX_INT64 && value >= MIN_INT64) return value;
    throw new NotACounterError(key, `its value ${json} does not fit 64 bits.`);
  }
  throw new NotACounterError(key, `its value is ${describe(json)}, not a whole number.`);
}

function describe(json: string): string {
  if (json.startsWith('{')) return 'an object';
  if (json.startsWith('[')) return 'an array';
  return json.startsWith('"') ? 'a string' : json;
}
