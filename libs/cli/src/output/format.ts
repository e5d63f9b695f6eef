import { compactJson } from './plain.js';

/** A time for people, in UTC; the milliseconds say little. */
export function formatTime(time: Date | null | undefined): string {
  return time ? `${time.toISOString().slice(0, 19)}Z` : '';
}

/** A value for a cell of a table. */
export function formatValue(value: unknown): string {
  return value === undefined ? '' : compactJson(value);
}

/** Whole numbers with separators. */
export function formatCount(count: number | bigint): string {
  return count.toLocaleString('en-US');
}

/** `1 entry`, `2 entries`. */
export function counted(count: number | bigint, one: string, several: string): string {
  return `${formatCount(count)} ${BigInt(count) === 1n ? one : several}`;
}

/** A length of time for people. */
export function formatMs(ms: number): string {
  if (ms < 10) return `${Math.round(ms * 10) / 10} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 120_000) return `${Math.round(ms / 100) / 10} s`;
  if (ms < 7_200_000) return `${Math.round(ms / 60_000)} min`;
  return `${Math.round(ms / 3_600_000)} h`;
}
