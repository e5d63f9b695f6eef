import { ClosedError, type JsonValue } from '@nestbox/core';
import type { ChangeFeed, StoredChange } from '../kv.adapter.js';
import { RevisionTrimmedError } from '../kv.errors.js';

/** A change with its value as JSON text. */
export interface LoggedChange {
  type: 'set' | 'delete';
  key: string;
  json: string | undefined;
  version: bigint;
  revision: bigint;
  /** In ms since the epoch. */
  at: number;
  expired: boolean;
}

/** Changes that one read of a feed returns at the most. */
const READ_LIMIT = 500;

/** The newest changes, as many as fit a limit, and those who read them as they come. */
export class ChangeLog {
  private changes: LoggedChange[] = [];
  private chars = 0;
  /** The revision of the first change that is kept, or would be. */
  private oldest: bigint;
  /** Feeds see changes up to here. */
  private published: bigint;
  private readonly waiting = new Set<() => void>();
  private closed = false;

  /**
   * @param what what to call the adapter in a ClosedError
   * @param revision of the newest change before those that this log will hold
   * @param maxChanges how many changes to keep
   * @param maxChars how many characters of keys and values to keep
   */
  constructor(
    private readonly what: string,
    revision: bigint,
    private readonly maxChanges: number,
    private readonly maxChars: number,
  ) {
    this.oldest = revision + 1n;
    this.published = revision;
  }

  /** The newest revision that feeds may see. */
  get revision(): bigint {
    return this.published;
  }

  /** Adds a change, which must be the one after the newest. */
  append(change: LoggedChange): void {
    this.changes.push(change);
    this.chars += charsOf(change);
  }

  /** Takes back the newest change, which must not have been published. */
  retract(): void {
    const change = this.changes.pop();
    if (change !== undefined) this.chars -= charsOf(change);
  }

  /** Lets feeds see the changes up to a revision, and forgets old ones. */
  publish(revision: bigint): void {
    this.published = revision;
    this.trim();
    for (const wake of this.waiting) wake();
    this.waiting.clear();
  }

  /** A feed of what comes after the newest published change, or of what is there from a revision on. */
  open(prefix: string, fromRevision: bigint | undefined): ChangeFeed {
    if (fromRevision !== undefined) this.assertKept(fromRevision);
    let next = fromRevision ?? this.published + 1n;
    if (next < this.oldest) next = this.oldest;
    let ended = false;
    let wakeReader: (() => void) | undefined;
    return {
      read: async () => {
        for (;;) {
          if (ended || this.closed) throw new ClosedError(ended ? 'The feed' : this.what);
          this.assertKept(next);
          const found: StoredChange[] = [];
          while (next <= this.published && found.length < READ_LIMIT) {
            const change = this.changes[Number(next - this.oldest)];
            if (change?.key.startsWith(prefix)) found.push(toStoredChange(change));
            next++;
          }
          if (found.length > 0) return found;
          await new Promise<void>((resolve) => {
            wakeReader = resolve;
            this.waiting.add(resolve);
          });
        }
      },
      close: () => {
        ended = true;
        if (wakeReader !== undefined) this.waiting.delete(wakeReader);
        wakeReader?.();
        return Promise.resolve();
      },
    };
  }

  close(): void {
    this.closed = true;
    this.publish(this.published);
    this.changes = [];
  }

  private assertKept(revision: bigint): void {
    if (revision < this.oldest && this.oldest > 1n) throw new RevisionTrimmedError(revision, this.oldest);
  }

  private trim(): void {
    if (this.changes.length <= this.maxChanges && this.chars <= this.maxChars) return;
    // Down to three quarters, so that the array is not cut at every change.
    const unpublished = this.changes.length - Number(this.published - this.oldest + 1n);
    let count = 0;
    while (
      count < this.changes.length - unpublished &&
      (this.changes.length - count > this.maxChanges * 0.75 || this.chars > this.maxChars * 0.75)
    ) {
      this.chars -= charsOf(this.changes[count]!);
      count++;
    }
    this.changes.splice(0, count);
    this.oldest += BigInt(count);
  }
}

function charsOf({ key, json }: LoggedChange): number {
  return key.length + (json?.length ?? 0);
}

function toStoredChange({ json, at, ...change }: LoggedChange): StoredChange {
  return {
    ...change,
    ...(json === undefined ? undefined : { value: JSON.parse(json) as JsonValue }),
    at: new Date(at),
  };
}
