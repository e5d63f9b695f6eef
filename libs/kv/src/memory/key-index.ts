import { compareUtf8 } from '@nestbox/core';
import type { KeyRange } from '../kv.adapter.js';

/** So many new keys are put in place one by one; more are sorted and merged. */
const FEW = 32;

/**
 * The keys of a map in byte order. Adding and removing cost next to nothing; the order is restored when somebody
 * reads a range.
 */
export class KeyIndex {
  /** In order; has all keys but `added`, and also those that are `removed`. */
  private sorted: string[] = [];
  private readonly added = new Set<string>();
  private readonly removed = new Set<string>();

  /** Call it with a key that is not in the index. */
  add(key: string): void {
    if (!this.removed.delete(key)) this.added.add(key);
  }

  /** Call it with a key that is in the index. */
  remove(key: string): void {
    if (!this.added.delete(key)) this.removed.add(key);
  }

  /** The keys of a range; `limit` is left to the reader. Don't add or remove while it is read. */
  *range({ prefix = '', start, end, after, reverse = false }: Omit<KeyRange, 'limit'>): Generator<string> {
    this.settle();
    let from = this.firstNot((key) => compareUtf8(key, prefix) < 0);
    let to = this.firstNot((key) => compareUtf8(key, prefix) < 0 || key.startsWith(prefix));
    if (start !== undefined)
      from = Math.max(
        from,
        this.firstNot((key) => compareUtf8(key, start) < 0),
      );
    if (end !== undefined)
      to = Math.min(
        to,
        this.firstNot((key) => compareUtf8(key, end) < 0),
      );
    if (after !== undefined && reverse)
      to = Math.min(
        to,
        this.firstNot((key) => compareUtf8(key, after) < 0),
      );
    if (after !== undefined && !reverse)
      from = Math.max(
        from,
        this.firstNot((key) => compareUtf8(key, after) <= 0),
      );
    for (let i = 0; i < to - from; i++) {
      const key = this.sorted[reverse ? to - 1 - i : from + i]!;
      if (!this.removed.has(key)) yield key;
    }
  }

  private settle(): void {
    if (this.removed.size > this.sorted.length / 2) {
      this.sorted = this.sorted.filter((key) => !this.removed.has(key));
      this.removed.clear();
    }
    if (this.added.size === 0) return;
    if (this.added.size <= FEW) {
      for (const key of this.added) {
        this.sorted.splice(
          this.firstNot((other) => compareUtf8(other, key) < 0),
          0,
          key,
        );
      }
    } else {
      this.sorted = merge(this.sorted, [...this.added].sort(compareUtf8));
    }
    this.added.clear();
  }

  /** The first position whose key does not satisfy a condition that holds for the keys up to some point. */
  private firstNot(condition: (key: string) => boolean): number {
    let low = 0;
    let high = this.sorted.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (condition(this.sorted[middle]!)) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function merge(a: string[], b: string[]): string[] {
  const merged: string[] = [];
  let j = 0;
  for (const key of a) {
    while (j < b.length && compareUtf8(b[j]!, key) < 0) merged.push(b[j++]!);
    merged.push(key);
  }
  while (j < b.length) merged.push(b[j++]!);
  return merged;
}
