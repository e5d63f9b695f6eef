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

/**
 * A feed's place in the changes.
 *
 * `live`: new changes are handed over as they come. `behind`: they are not, because it has to catch up from Redis
 * first. `joining`: the last page is being read from Redis, and what comes meanwhile is kept, so that nothing falls in
 * between.
 */
export class FeedCursor {
  private state: 'joining' | 'live' | 'behind' = 'joining';
  private waiting: LoggedChange[] = [];
  private chars = 0;
  /** By shard, what was taken last. */
  private positions: LogPosition[] = [];
  private reader: MergedReader | undefined;

  /**
   * @param wake called when there is something to take
   * @param tailHorizon up to which revision the tail has handed over what there is
   */
  constructor(
    private readonly log: RedisChangeLog,
    private readonly wake: () => void,
    private readonly tailHorizon: () => bigint,
  ) {}

  get isBehind(): boolean {
    return this.state === 'behind';
  }

  get hasChanges(): boolean {
    return this.isBehind || this.waiting.length > 0;
  }

  /** Starts after positions: the newest ones, got since it was created, or older ones. */
  start(positions: readonly LogPosition[], areNewest: boolean): void {
    this.positions = [...positions];
    if (areNewest && this.state === 'joining') this.goLive();
    else this.fallBehind();
  }

  /** New changes, in order. */
  offer(changes: readonly LoggedChange[]): void {
    if (this.isBehind) return;
    for (const change of changes) {
      this.waiting.push(change);
      this.chars += charsOf(change);
    }
    if (this.waiting.length > MAX_WAITING || this.chars > MAX_WAITING_CHARS) this.fallBehind();
    this.wake();
  }

  /**
   * The next changes; none when there are none yet.
   *
   * @throws RevisionTrimmedError when some were missed, CatchUpError when Redis cannot be asked now
   */
  async take(): Promise<LoggedChange[]> {
    if (this.isBehind) return this.catchUp();
    const changes = this.waiting.splice(0, READ_CHANGES);
    for (const change of changes) this.chars -= charsOf(change);
    this.advance(changes);
    return changes;
  }

  private async catchUp(): Promise<LoggedChange[]> {
    this.reader ??= new MergedReader(this.log, this.positions);
    this.state = 'joining';
    const tailHorizon = this.tailHorizon();
    try {
      const page = await this.reader.read().catch((error: unknown) => {
        throw new CatchUpError(error);
      });
      this.advance(page.changes);
      // Further changes come from the tail, which hands over what is beyond its horizon.
      if (!page.more && page.horizon >= tailHorizon && this.stillJoining()) this.goLive();
      return page.changes;
    } finally {
      if (this.stillJoining()) this.fallBehind();
    }
  }

  /** Whether it has not fallen behind again, because too much came meanwhile. */
  private stillJoining(): boolean {
    return this.state === 'joining';
  }

  private advance(changes: readonly LoggedChange[]): void {
    for (const change of changes) {
      const { revision, number } = this.positions[change.shard]!;
      // A lower number than expected is that of a replica which was promoted before it had all changes.
      if (change.number > number + 1n) {
        const compose = (of: bigint): bigint => composeRevision(of, change.shard, this.positions.length);
        throw new RevisionTrimmedError(compose(revision + 1n), compose(change.revision));
      }
      this.positions[change.shard] = change;
    }
  }

  private goLive(): void {
    this.state = 'live';
    this.reader = undefined;
    this.waiting = this.waiting.filter(({ shard, revision }) => revision > this.positions[shard]!.revision);
    this.chars = this.waiting.reduce((sum, change) => sum + charsOf(change), 0);
  }

  private fallBehind(): void {
    this.state = 'behind';
    this.waiting = [];
    this.chars = 0;
  }
}

function charsOf({ key, text }: LoggedChange): number {
  return key.length + text.length;
}
