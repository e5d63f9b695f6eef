import type { ExpectedVersion, KeyRange } from '../kv.adapter.js';
import { VersionConflictError } from '../kv.errors.js';
import type { Lifetime } from '../adapter-support.js';
import { ChangeLog } from './change-log.js';
import { ExpiryIndex } from './expiry-index.js';
import { KeyIndex } from './key-index.js';

/** An entry as it is held: the value as JSON text, so that nobody outside can change it; times in ms. */
export interface HeldEntry {
  readonly json: string;
  readonly version: bigint;
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly expiresAt: number | null;
}

/** What is left of a deleted entry, so that its versions are not used again. */
export interface Tombstone {
  readonly version: bigint;
  readonly at: number;
}

export interface HeldHistory {
  readonly version: bigint;
  /** Undefined where the entry was deleted. */
  readonly json: string | undefined;
  readonly at: number;
}

/** What survives a restart. */
export interface Snapshot {
  floor: bigint;
  revision: bigint;
  leases: bigint;
  entries: Map<string, HeldEntry>;
  tombstones: Map<string, Tombstone>;
  history: Map<string, HeldHistory[]>;
}

export interface LocalLimits {
  /** Versions of a key that `history` keeps. */
  maxHistory: number;
  /** Changes that a watcher may be behind. */
  maxChanges: number;
}

/** Tombstones are kept for so long, and so many of them; then the floor stands for them. */
const TOMBSTONE_MS = 60 * 60 * 1000;
const MAX_TOMBSTONES = 10_000;
const MAX_CHANGE_CHARS = 16 * 1024 * 1024;

/**
 * The entries of a store that lives in this process. Every method is synchronous, hence atomic. Where undoing is
 * wanted, changes can be taken back until they are kept.
 */
export class LocalState {
  readonly changes: ChangeLog;
  private readonly entries: Map<string, HeldEntry>;
  private readonly tombstones: Map<string, Tombstone>;
  private readonly historyOf: Map<string, HeldHistory[]>;
  private readonly keys = new KeyIndex();
  private readonly expiries = new ExpiryIndex();
  private floor: bigint;
  private revision: bigint;
  private lastLease: bigint;
  private undo: (() => void)[] | undefined;

  constructor(
    what: string,
    { floor, revision, leases, entries, tombstones, history }: Snapshot,
    private readonly limits: LocalLimits,
  ) {
    this.floor = floor;
    this.revision = revision;
    this.lastLease = leases;
    this.entries = entries;
    this.tombstones = tombstones;
    this.historyOf = history;
    for (const [key, { expiresAt }] of entries) {
      this.keys.add(key);
      if (expiresAt !== null) this.expiries.add(key, expiresAt);
    }
    this.changes = new ChangeLog(what, revision, limits.maxChanges, MAX_CHANGE_CHARS);
  }

  static empty(): Snapshot {
    return {
      floor: 0n,
      revision: 0n,
      leases: 0n,
      entries: new Map(),
      tombstones: new Map(),
      history: new Map(),
    };
  }

  /** The entry, unless its time is up. */
  get(key: string, now: number): HeldEntry | undefined {
    const entry = this.entries.get(key);
    return entry === undefined || isExpired(entry, now) ? undefined : entry;
  }

  /** Whether the entry is as expected. */
  matches(key: string, expected: ExpectedVersion, now: number): boolean {
    const current = this.get(key, now)?.version;
    return expected === 'absent' ? current === undefined : current === expected;
  }

  /** @throws VersionConflictError when the entry is not as expected */
  assertMatches(key: string, expected: ExpectedVersion | undefined, now: number): void {
    if (expected !== undefined && !this.matches(key, expected, now)) {
      throw new VersionConflictError(key, expected, this.get(key, now)?.version);
    }
  }

  *range(range: KeyRange, now: number): Generator<[string, HeldEntry]> {
    for (const key of this.keys.range(range)) {
      const entry = this.get(key, now);
      if (entry !== undefined) yield [key, entry];
    }
  }

  /** Every key with the prefix, also of entries whose time is up. */
  keysWith(prefix: string): string[] {
    return [...this.keys.range({ prefix })];
  }

  set(key: string, json: string, lifetime: Lifetime, recordHistory: boolean, now: number): bigint {
    const before = this.get(key, now);
    const version = this.nextVersion(key);
    const expiresAt =
      lifetime === 'keep' ? (before?.expiresAt ?? null) : lifetime === 'never' ? null : now + lifetime;
    const entry: HeldEntry = {
      json,
      version,
      createdAt: before?.createdAt ?? now,
      updatedAt: now,
      expiresAt,
    };
    this.replace(key, entry, undefined);
    this.log({ type: 'set', key, json, version, at: now, expired: false });
    if (recordHistory) this.record(key, { version, json, at: now });
    return version;
  }

  /** Removes an entry, which must be there (its time may be up). */
  delete(key: string, recordHistory: boolean, now: number): bigint {
    const expired = this.get(key, now) === undefined;
    const version = this.nextVersion(key);
    this.replace(key, undefined, { version, at: now });
    this.log({ type: 'delete', key, json: undefined, version, at: now, expired });
    if (recordHistory) this.record(key, { version, json: undefined, at: now });
    return version;
  }

  /** Removes up to `limit` entries whose time is up, and old tombstones. */
  sweep(now: number, limit: number): void {
    for (const key of this.expiries.due(now, limit)) this.delete(key, false, now);
    for (const [key, tombstone] of this.tombstones) {
      if (this.tombstones.size <= MAX_TOMBSTONES && tombstone.at > now - TOMBSTONE_MS) break;
      this.bury(key, tombstone);
    }
  }

  /** When a sweep finds something next, in ms since the epoch. */
  get nextSweep(): number {
    const tombstone = this.tombstones.values().next();
    const buried = tombstone.done === true ? Infinity : tombstone.value.at + TOMBSTONE_MS;
    return this.tombstones.size > MAX_TOMBSTONES ? 0 : Math.min(this.expiries.nextDue, buried);
  }

  /** Newest last. */
  history(key: string): readonly HeldHistory[] {
    return this.historyOf.get(key) ?? [];
  }

  nextLease(): bigint {
    const before = this.lastLease;
    this.lastLease++;
    this.undo?.push(() => void (this.lastLease = before));
    return this.lastLease;
  }

  /** From now on changes can be taken back, and are published only when they are kept. */
  enableUndo(): void {
    this.undo = [];
  }

  /** How many steps could be undone. */
  get pending(): number {
    return this.undo?.length ?? 0;
  }

  /** The newest revision, published or not. */
  get newestRevision(): bigint {
    return this.revision;
  }

  /** Makes the first `steps` changes final; `revision` is the newest one among them. */
  keep(steps: number, revision: bigint): void {
    this.undo?.splice(0, steps);
    this.changes.publish(revision);
  }

  /** Takes back all that has not been kept. */
  rollback(): void {
    const steps = this.undo?.splice(0) ?? [];
    for (const step of steps.reverse()) step();
  }

  snapshot(): Snapshot {
    return {
      floor: this.floor,
      revision: this.revision,
      leases: this.lastLease,
      entries: this.entries,
      tombstones: this.tombstones,
      history: this.historyOf,
    };
  }

  private nextVersion(key: string): bigint {
    return (this.entries.get(key)?.version ?? this.tombstones.get(key)?.version ?? this.floor) + 1n;
  }

  private replace(key: string, entry: HeldEntry | undefined, tombstone: Tombstone | undefined): void {
    const oldEntry = this.entries.get(key);
    const oldTombstone = this.tombstones.get(key);
    this.put(key, entry);
    this.putTombstone(key, tombstone);
    this.undo?.push(() => {
      this.put(key, oldEntry);
      this.putTombstone(key, oldTombstone);
    });
  }

  private put(key: string, entry: HeldEntry | undefined): void {
    const old = this.entries.get(key);
    if (old === undefined && entry !== undefined) this.keys.add(key);
    if (old !== undefined && entry === undefined) this.keys.remove(key);
    const from = old?.expiresAt ?? null;
    const to = entry?.expiresAt ?? null;
    if (from !== null) this.expiries.remove(key, from);
    if (to !== null) this.expiries.add(key, to);
    if (entry === undefined) this.entries.delete(key);
    else this.entries.set(key, entry);
  }

  private putTombstone(key: string, tombstone: Tombstone | undefined): void {
    // Deleted first, so that the map stays in the order of time.
    this.tombstones.delete(key);
    if (tombstone !== undefined) this.tombstones.set(key, tombstone);
  }

  private bury(key: string, tombstone: Tombstone): void {
    const before = this.floor;
    this.tombstones.delete(key);
    if (tombstone.version > this.floor) this.floor = tombstone.version;
    this.undo?.push(() => {
      this.putTombstone(key, tombstone);
      this.floor = before;
    });
  }

  private log(change: {
    type: 'set' | 'delete';
    key: string;
    json: string | undefined;
    version: bigint;
    at: number;
    expired: boolean;
  }): void {
    this.revision++;
    this.changes.append({ ...change, revision: this.revision });
    if (this.undo === undefined) {
      this.changes.publish(this.revision);
    } else {
      this.undo.push(() => {
        this.changes.retract();
        this.revision--;
      });
    }
  }

  private record(key: string, item: HeldHistory): void {
    const items = this.historyOf.get(key) ?? [];
    this.historyOf.set(key, items);
    items.push(item);
    const dropped = items.length > this.limits.maxHistory ? items.shift() : undefined;
    this.undo?.push(() => {
      items.pop();
      if (dropped !== undefined) items.unshift(dropped);
      if (items.length === 0) this.historyOf.delete(key);
    });
  }
}

function isExpired({ expiresAt }: HeldEntry, now: number): boolean {
  return expiresAt !== null && expiresAt <= now;
}
