import parse from 'parse-duration';
import { InvalidArgumentError } from './errors.js';

/** A length of time: a number of milliseconds, or a text such as `'250ms'`, `'10s'`, `'1h 30m'`, `'7d'`. */
export type Duration = number | string;

/** Longer than setTimeout can wait (2^31 - 1 ms) is fine for a deadline, but 1,000 years is a mistake. */
const LONGEST_MS = 1000 * 365.25 * 24 * 60 * 60 * 1000;

/**
 * The milliseconds of a duration, rounded up to a whole number.
 *
 * @param path what to call the duration in an error, such as `ttl`
 * @throws InvalidArgumentError when it cannot be read, is not positive, or is over 1,000 years
 */
export function parseDuration(duration: Duration, path: string): number {
  const ms = typeof duration === 'string' ? parse(duration) : duration;
  if (typeof ms !== 'number' || Number.isNaN(ms)) {
    throw new InvalidArgumentError(
      path,
      `${describe(duration)} is not a duration; give milliseconds as a number, or a text like '500ms', '10s', '5m', '1h' or '7d'.`,
    );
  }
  if (ms <= 0 || ms > LONGEST_MS) {
    throw new InvalidArgumentError(path, `${describe(duration)} must be more than 0 and at most 1,000 years.`);
  }
  return Math.ceil(ms);
}

function describe(value: unknown): string {
  return typeof value === 'string' ? `'${value}'` : String(value);
}
