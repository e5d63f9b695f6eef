import parse from 'parse-duration';
import { InvalidArgumentError } from './errors.js';

/** A length of time: a number of milliseconds, or a text such as `'250ms'`, `'10s'`, `'1h 30m'`, `'7d'`. */
export type Duration = number | string;

/** Longer than setTimeout can wait (2^31 - 1 ms) is fine for a deadline, but over 1,000 years is a mistake. */
const LONGEST_MS = 1000 * 365.25 * 24 * 60 * 60 * 1000;

/** Amounts with a lower-case unit each (`1M` could mean a minute or a month), or a single amount in ms. */
const SHAPE = /^(?:(?:\d+\.?\d*|\.\d+)\s*\p{Ll}+\s*)+$|^(?:\d+\.?\d*|\.\d+)$/u;
const PART = /[\d.]+\s*\p{Ll}*/gu;

/**
 * The milliseconds of a duration, rounded up to a whole number. Units are `ms`, `s`, `m`, `h`, `d`, `w` and `y`,
 * their names, and smaller ones (`us`, `ns`); a text without a unit is milliseconds.
 *
 * @param path what to call the duration in an error, such as `ttl`
 * @throws InvalidArgumentError when it cannot be read, is not positive, or is over 1,000 years
 */
export function parseDuration(duration: Duration, path: string): number {
  const ms = typeof duration === 'string' ? parseText(duration.trim()) : duration;
  if (typeof ms !== 'number' || Number.isNaN(ms)) {
    throw new InvalidArgumentError(
      path,
      `${describe(duration)} is not a duration; give milliseconds as a number, or a text like '500ms', '10s', '5m', '1h' or '7d'.`,
    );
  }
  if (ms <= 0 || ms > LONGEST_MS) {
    throw new InvalidArgumentError(
      path,
      `${describe(duration)} must be more than 0 and at most 1,000 years.`,
    );
  }
  // 1.1 hours are 3,960,000.0000000005 ms in floating point, and must not become one more.
  return Math.max(1, Math.ceil(Math.round(ms * 1000) / 1000));
}

/** The library reads what it can and skips the rest, so that a date is some milliseconds; we take all or nothing. */
function parseText(text: string): number {
  const parts = SHAPE.test(text) ? text.match(PART) : null;
  return parts === null ? Number.NaN : parts.reduce((sum, part) => sum + (parse(part) ?? Number.NaN), 0);
}

function describe(value: unknown): string {
  return typeof value === 'string' ? `'${value}'` : String(value);
}
