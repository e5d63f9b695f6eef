import type { ChangeFeed } from '../kv.adapter.js';
import type { RedisChangeLog } from './change-log.js';
import type { ChangeTail, OpenTail } from './change-tail.js';
import { FeedCursor } from './feed-cursor.js';
import { RedisFeed } from './redis-feed.js';

/** Opens feeds, and shares one tail of the changes among them. There is a tail only while there are feeds. */
export class RedisWatcher {
  private readonly feeds = new Set<RedisFeed>();
  private readonly cursors = new Set<FeedCursor>();
  private tail: Promise<ChangeTail> | undefined;
  private ending: Promise<void> = Promise.resolve();

  /** @param what what to call the adapter in a ClosedError */
  constructor(
    private readonly what: string,
    private readonly log: RedisChangeLog,
    private readonly openTail: OpenTail,
  ) {}

  async open(prefix: string, fromRevision: bigint | undefined): Promise<ChangeFeed> {
    let cursor: FeedCursor | undefined;
    const feed: RedisFeed = new RedisFeed({
      fromRevision,
      shardCount: this.log.shardCount,
      onClose: () => {
        if (cursor !== undefined) this.cursors.delete(cursor);
        this.feeds.delete(feed);
        if (this.feeds.size === 0) this.stop();
      },
    });
    this.feeds.add(feed);
    try {
      const tail = await this.start();
      cursor = new FeedCursor(this.log, {
        isWanted: (key) => key.startsWith(prefix),
        onChanges: () => feed.wake(),
        tailHorizon: () => tail.horizon,
      });
      // It listens before its positions are asked for, so that no change falls in between.
      this.cursors.add(cursor);
      if (fromRevision === undefined) cursor.start(await this.log.newest(), true);
      else cursor.start(await this.log.before(fromRevision), false);
      feed.start(cursor);
    } catch (error) {
      await feed.close();
      throw error;
    }
    return feed;
  }

  /** This process has made a change. */
  poke(): void {
    // A tail that cannot be started has told those who wait for it.
    this.tail?.then((tail) => tail.poke()).catch(() => undefined);
  }

  /** Ends all feeds. */
  async close(): Promise<void> {
    for (const feed of this.feeds) await feed.end(this.what);
    await this.ending;
  }

  private async start(): Promise<ChangeTail> {
    const starting = (this.tail ??= this.log.newest().then((positions) =>
      this.openTail(positions, (changes) => {
        for (const cursor of this.cursors) cursor.offer(changes);
      }),
    ));
    try {
      return await starting;
    } catch (error) {
      if (this.tail === starting) this.tail = undefined;
      throw error;
    }
  }

  private stop(): void {
    // A tail that could not be started needs no closing.
    const stopping = this.tail?.then((tail) => tail.close()).catch(() => undefined);
    this.tail = undefined;
    this.ending = Promise.all([this.ending, stopping]).then(() => undefined);
  }
}
