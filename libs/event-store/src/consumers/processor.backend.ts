import type { StoredMessage } from '../event-store.backend.js';

/** `failed`: its handler failed for good, and it stands still until it is resumed or started anew. */
export type ProcessorStatus = 'active' | 'paused' | 'failed';

/** Which processor of which partition (`ALL_PARTITIONS` for one that reads all). */
export interface ProcessorKey {
  readonly processorId: string;
  readonly partition: string;
}

/** The checkpoint of a processor, or of one of the shards that it is divided into. */
export interface CheckpointKey extends ProcessorKey {
  readonly shard: number;
}

export interface Checkpoint extends CheckpointKey {
  /** How many shards there are. */
  readonly shards: number;
  /** All events up to here have been handled or parked. */
  readonly position: bigint;
  readonly status: ProcessorStatus;
  /** Why it has failed. */
  readonly error: string | undefined;
  /** Whether somebody asked for parked messages to be handled again. */
  readonly wantsReplay: boolean;
  readonly updatedAt: Date;
}

/** A fencing token: writes made under a lease that is over are refused. */
export interface Fence {
  readonly name: string;
  readonly epoch: bigint;
  readonly ttlMs: number;
}

/** The right to run a processor, which one instance has at a time. */
export interface ProcessorLease {
  readonly fence: Fence;
  readonly held: boolean;
  /** Aborts when the lease was lost. */
  readonly signal: AbortSignal;
  /** Lets others in at once. Never rejects. */
  release(): Promise<void>;
}

/** An event that a processor has failed at and put aside, with the error. */
export interface ParkedMessage {
  readonly processorId: string;
  readonly partition: string;
  readonly message: StoredMessage;
  readonly attempts: number;
  readonly error: string;
  /** How often somebody asked for it to be handled again, since it was last tried. */
  readonly requests: number;
  readonly parkedAt: Date;
}

/** Whether a processor's position was saved. */
export type SaveResult =
  /** Written; and what the status is now. */
  | { readonly saved: true; readonly status: ProcessorStatus }
  /** The position was changed by somebody else (a reset, a rebuild), or the checkpoint is gone. */
  | { readonly saved: false };

/** Where consumers keep how far they are. */
export interface ProcessorBackend {
  /**
   * Makes the checkpoints of a processor unless it has them. With another number of shards it changes nothing.
   *
   * @returns the checkpoints that there are now, by shard
   */
  register(key: ProcessorKey, shards: number, position: bigint): Promise<readonly Checkpoint[]>;
  read(key: ProcessorKey): Promise<readonly Checkpoint[]>;
  list(): Promise<readonly Checkpoint[]>;
  /**
   * Moves a checkpoint from one position to another, under a lease.
   *
   * @throws LeaseExpiredError when the lease is over
   */
  save(key: CheckpointKey, from: bigint, to: bigint, fence: Fence): Promise<SaveResult>;
  /** Of all shards. @returns false when there is no such processor */
  setStatus(key: ProcessorKey, status: ProcessorStatus, error?: string): Promise<boolean>;
  /** Sets all shards to a position, whoever is working on them. @returns false when there is no such processor */
  reset(key: ProcessorKey, position: bigint): Promise<boolean>;
  /** Replaces the checkpoints by others, in a transaction in which all of them are locked. */
  reshard(key: ProcessorKey, shards: number, position: bigint): Promise<void>;
  /** Locks the checkpoints of a processor until the transaction is over. */
  lock(key: ProcessorKey): Promise<readonly Checkpoint[]>;
  remove(key: ProcessorKey): Promise<boolean>;

  /** Waits for the lease until the signal is given, with whose reason it then rejects. */
  lease(name: string, ttlMs: number, signal: AbortSignal): Promise<ProcessorLease>;

  /** Counts this instance among those that run a processor, until the lease is released. */
  join(key: ProcessorKey, ttlMs: number): Promise<ProcessorLease>;
  /** How many instances run a processor at the moment. */
  countInstances(key: ProcessorKey): Promise<number>;

  /** The lease if nobody holds it. */
  tryLease(name: string, ttlMs: number): Promise<ProcessorLease | undefined>;

  /**
   * Keeps a lease from being taken over until the transaction is over.
   *
   * @throws LeaseExpiredError when it is over already
   */
  assertHeld(fence: Fence): Promise<void>;

  /**
   * Parking again replaces attempts and error, and takes back the requests for a replay.
   *
   * @param answered how many requests there were when the replay began; those that came during it stay. Default: all
   */
  park(
    key: ProcessorKey,
    message: StoredMessage,
    attempts: number,
    error: string,
    answered?: number,
  ): Promise<void>;
  /** In the order of the log. */
  parked(key: ProcessorKey, options: { after: bigint; limit: number }): Promise<readonly ParkedMessage[]>;
  /** @returns whether it was there */
  unpark(key: ProcessorKey, position: bigint): Promise<boolean>;
  /** @returns how many there were */
  unparkAll(key: ProcessorKey): Promise<number>;
  /** Asks for parked messages to be handled again: those at these positions, or all. @returns how many there are */
  requestReplay(key: ProcessorKey, positions: readonly bigint[] | undefined): Promise<number>;
  /** Parked messages that somebody asked to be handled again, in the order of the log. */
  replays(key: ProcessorKey, limit: number): Promise<readonly ParkedMessage[]>;
  /** How many are parked, by processor and partition. */
  countParked(): Promise<readonly (ProcessorKey & { readonly count: number })[]>;
  /** The age of the first event behind a position, in ms by the database's clock; undefined when there is none. */
  ageAfter(key: ProcessorKey, position: bigint): Promise<number | undefined>;
}

/** The partition of processors that read all partitions. */
export const ALL_PARTITIONS = '*';
