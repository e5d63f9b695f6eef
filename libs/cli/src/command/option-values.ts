import { parseDuration } from '@nestbox/core';
import type { StoreKind } from '../config/config-file.js';
import { UsageError } from '../usage-error.js';

type Reader<T> = (text: string) => T;

/** A whole number from 1 on. */
export function count(option: string, most = 2 ** 31 - 1): Reader<number> {
  return (text) => {
    const value = /^\d{1,10}$/.test(text) ? Number(text) : 0;
    if (value >= 1 && value <= most) return value;
    throw new UsageError(`${option} must be a whole number from 1 to ${most}, not "${text}"`);
  };
}

/** A position or a version: a whole number of up to 64 bits. */
export function position(option: string): Reader<bigint> {
  return (text) => {
    const value = /^\d{1,19}$/.test(text) ? BigInt(text) : -1n;
    if (value >= 0n && value < 2n ** 63n) return value;
    throw new UsageError(`${option} must be a whole number from 0 to ${2n ** 63n - 1n}, not "${text}"`);
  };
}

/** {@link position}, any number of times. */
export function positions(option: string): (text: string, before?: readonly bigint[]) => bigint[] {
  return (text, before = []) => [...before, position(option)(text)];
}

/** A text, any number of times. */
export function texts(): (text: string, before?: readonly string[]) => string[] {
  return (text, before = []) => [...before, text];
}

/** A text such as `90s` or `1h`. */
export function duration(option: string): Reader<string> {
  return (text) => {
    try {
      parseDuration(text, option);
    } catch {
      throw new UsageError(`${option} must be a length of time such as 90s, 10m or 7d, not "${text}"`);
    }
    return text;
  };
}

/** A time in ISO 8601; without a zone in UTC, as all that is printed. */
export function time(option: string): Reader<Date> {
  return (text) => {
    const [, day = '', clock = '', zone] =
      /^(\d{4}-\d\d(?:-\d\d)?)([T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?)?(Z|[+-]\d\d:\d\d)?$/i.exec(text) ?? [];
    const value = new Date(clock === '' ? day : `${day}${clock}${zone ?? 'Z'}`);
    // JavaScript takes the 31st of February for the 3rd of March.
    if (!Number.isNaN(value.getTime()) && new Date(day).toISOString().startsWith(day)) return value;
    throw new UsageError(`${option} must be a time such as 2030-01-31T12:00:00Z, not "${text}"`);
  };
}

/** One of several words. */
export function oneOf<T extends string>(option: string, known: readonly T[]): Reader<T> {
  return (text) => {
    const found = known.find((word) => word === text);
    if (found !== undefined) return found;
    throw new UsageError(`${option} must be ${known.join(' or ')}, not "${text}"`);
  };
}

export const storeKind: Reader<StoreKind> = oneOf('--store', ['postgres', 'redis']);
