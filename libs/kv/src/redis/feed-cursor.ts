import { RevisionTrimmedError } from '../kv.errors.js';
import { composeRevision, type LogPosition, type LoggedChange, type RedisChangeLog } from './change-log.js';
import { MergedReader } from './merged-reader.js';

/** Changes that wait for a slow reader; beyond this they are read again from Redis when it comes. */
const MAX_WAITING = 2000;
const MAX_WAITING_CHARS = 8 * 1024 * 1024;
/** Changes that one read returns at the most, when they waited. */
const READ_CHANGES = 500;

/** The next page could not be read from Redis; it can be tried again. */
export class CatchUpError extends Error {
  constructor(readonly reason: unknown) {
    super('Changes cannot be read from Redis now.');
  }
}

export interface FeedCursorOptions {
  /** Whether the feed is about the key. */
  isWanted(key: string): boolean;
  /** Called when there is something to take. */
  onChanges(): void;
  /** Up to which revision the tail has handed over what there is. */
  tailHorizon(): bigint;
}

/** Changes of wanted keys, and whether any were looked at. */
export interface TakenChanges {
  changes: LoggedChange[];
  advanced: boolean;
}

/**
 * A feed's place in the changes.
 *
 * `live`: new changes are handed over as they come. `behind`: they are not, because it has to catch up from Redis
 * first. `joining`: the last page is being read from Redis, and what comes meanwhile is kept, so that nothing falls in
 * between.
 */
export class FeedCursor {
  private state: 'joining' | 'live' | 'behind' = 'joining';
  /** While joining all changes, then those of wanted keys. */
  private waiting: LoggedChange[] = [];
  private chars = 0;
  /** By shard: no wanted change up to here is left to take. */
  private taken: LogPosition[] = [];
  /** By shard: all changes up to here have been looked at. */
  private seen: LogPosition[] = [];
  private missed: RevisionTrimmedError | undefined;
  private reader: MergedReader | undefined;

  constructor(
    private readonly log: RedisChangeLog,
    private readonly options: FeedCursorOptions,
  ) {}

  get hasChanges(): boolean {
    return this.state === 'behind' || this.waiting.length > 0 || this.missed !== undefined;
  }

  /** Starts after positions: the newest ones, got since it was created, or older ones. */
  start(positions: readonly LogPosition[], areNewest: boolean): void {
    this.taken = [...positions];
    if (areNewest && this.state === 'joining') this.goLive();
    else this.fallBehind();
  }

  /** New changes, in order. */
  offer(changes: readonly LoggedChange[]): void {
    if (this.state === 'behind' || this.missed !== undefined) return;
    if (this.state === 'live') this.look(changes);
    else this.keep(changes);
    if (this.waiting.length > MAX_WAITING || this.chars > MAX_WAITING_CHARS) this.fallBehind();
    if (this.hasChanges) this.options.onChanges();
  }

  /**
   * The next changes; none when there are none yet.
   *
   * @throws RevisionTrimmedError when some were missed, CatchUpError when Redis cannot be asked now
   */
  async take(): Promise<TakenChanges> {
    if (this.state === 'behind') return this.catchUp();
    if (this.waiting.length === 0 && this.missed !== undefined) throw this.missed;
    const changes = this.waiting.splice(0, READ_CHANGES);
    for (const change of changes) {
      this.chars -= charsOf(change);
      this.taken[change.shard] = change;
    }
    if (this.waiting.length === 0) this.taken = [...this.seen];
    return { changes, advanced: changes.length > 0 };
  }

  private async catchUp(): Promise<TakenChanges> {
    this.reader ??= new MergedReader(this.log, this.taken);
    this.state = 'joining';
    const tailHorizon = this.options.tailHorizon();
    try {
      const page = await this.reader.read().catch((error: unknown) => {
        throw new CatchUpError(error);
      });
      for (const change of page.changes) this.advance(this.taken, change);
      // Further changes come from the tail, which hands over what is beyond its horizon.
      if (!page.more && page.horizon >= tailHorizon && this.isJoining()) this.goLive();
      return {
        changes: page.changes.filter(({ key }) => this.options.isWanted(key)),
        advanced: page.changes.length > 0,
      };
    } finally {
      if (this.isJoining()) this.fallBehind();
    }
  }

  /** Whether it has not fallen behind again, because too much came meanwhile. */
  private isJoining(): boolean {
    return this.state === 'joining';
  }

  private goLive(): void {
    const offered = this.waiting;
    this.forget();
    this.state = 'live';
    this.reader = undefined;
    this.seen = [...this.taken];
    this.look(offered);
  }

  private fallBehind(): void {
    this.forget();
    this.state = 'behind';
  }

  private forget(): void {
    this.waiting = [];
    this.chars = 0;
  }

  private look(changes: readonly LoggedChange[]): void {
    try {
      for (const change of changes) {
        // It was ahead of the tail when it joined.
        if (change.revision <= this.seen[change.shard]!.revision) continue;
        this.advance(this.seen, change);
        if (this.options.isWanted(change.key)) this.keep([change]);
      }
    } catch (error) {
      this.missed = error as RevisionTrimmedError;
    }
    if (this.waiting.length === 0) this.taken = [...this.seen];
  }

  private keep(changes: readonly LoggedChange[]): void {
    for (const change of changes) {
      this.waiting.push(change);
      this.chars += charsOf(change);
    }
  }

  /** @throws RevisionTrimmedError when there were changes in between */
  private advance(positions: LogPosition[], change: LoggedChange): void {
    const { revision, number } = positions[change.shard]!;
    // A lower number than expected is that of a replica which was promoted before it had all changes.
    if (change.number > number + 1n) {
      const compose = (of: bigint): bigint => composeRevision(of, change.shard, positions.length);
      throw new RevisionTrimmedError(compose(revision + 1n), compose(change.revision));
    }
    positions[change.shard] = change;
  }
}

function charsOf({ key, text }: LoggedChange): number {
  return key.length + text.length;
}
