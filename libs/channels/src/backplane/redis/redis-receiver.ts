import { backoffMs, messageOf } from '@nestbox/core';
import type { Redis } from '@nestbox/redis';
import { Logger } from '@nestjs/common';
import { setTimeout as sleep } from 'node:timers/promises';
import { BackplaneError } from '../../channel.errors.js';
import type { BackplaneMessage, BackplaneReceiver } from '../backplane.js';
import { BucketSubscriptions, type BucketHold } from './bucket-subscriptions.js';
import type { LinkState } from './link-state.js';
import { BUCKETS, bucketOf, type RedisBackplaneKeys } from './redis-backplane-keys.js';
import type { RedisHistories } from './redis-histories.js';
import { TopicSequencer, type PositionedMessage } from './topic-sequencer.js';
import { decodeFrame } from './wire.js';

interface Join {
  count: number;
  /** Until the first join is done. */
  joining: Promise<void> | undefined;
}

interface JoinedTopic extends Join {
  bucket: number;
  hold: BucketHold;
  sequencer: TopicSequencer;
}

/** A topic that is received since all are. */
interface FollowedTopic {
  bucket: number;
  sequencer: TopicSequencer;
}

interface JoinedAll extends Join {
  holds: BucketHold[];
}

/** Of so many topics that were not joined by name, the place in their histories is known. */
const MAX_FOLLOWED = 10_000;

/** What an instance receives: the topics it has joined, and their order. */
export class RedisReceiver {
  private readonly logger = new Logger('RedisBackplane');
  private readonly topics = new Map<string, JoinedTopic>();
  /** Topics with a history that came while all are joined, the one that was seen first before the others. */
  private readonly followed = new Map<string, FollowedTopic>();
  private readonly buckets: BucketSubscriptions;
  private readonly closing = new AbortController();
  private all: JoinedAll | undefined;
  private catchingUp = 0;
  private hasLost = false;

  constructor(
    redis: Redis,
    keys: RedisBackplaneKeys,
    sharded: boolean,
    private readonly nodeId: string,
    private readonly receiver: BackplaneReceiver,
    private readonly histories: RedisHistories,
    private readonly link: LinkState,
  ) {
    this.buckets = new BucketSubscriptions(redis, sharded, (bucket) => keys.channel(bucket), {
      onFrame: (frame) => this.take(frame),
      onLost: (bucket) => {
        this.hasLost = true;
        for (const sequencer of this.sequencersOf(bucket)) sequencer.interrupt();
      },
      onBack: (bucket) => void this.catchUp(bucket),
      onChange: () => this.settle(),
    });
  }

  get figures(): { known: number; live: number; catchingUp: number } {
    return { ...this.buckets.figures, catchingUp: this.catchingUp };
  }

  isJoined(topic: string): boolean {
    return this.topics.has(topic);
  }

  join(topic: string): Promise<void> | undefined {
    const known = this.topics.get(topic);
    if (known !== undefined) {
      known.count++;
      return known.joining;
    }
    const sequencer = this.followed.get(topic)?.sequencer ?? this.sequencer(topic);
    this.followed.delete(topic);
    const bucket = bucketOf(topic);
    const hold = this.buckets.acquire(bucket);
    const joined: JoinedTopic = { count: 1, joining: undefined, bucket, hold, sequencer };
    this.topics.set(topic, joined);
    joined.joining = this.begin(topic, joined);
    return joined.joining;
  }

  leave(topic: string): void {
    const joined = this.topics.get(topic);
    if (joined === undefined || --joined.count > 0) return;
    this.topics.delete(topic);
    if (this.all !== undefined && joined.joining === undefined) this.follow(topic, joined.sequencer);
    else joined.sequencer.close();
    joined.hold.release();
  }

  joinAll(): Promise<void> | undefined {
    if (this.all !== undefined) {
      this.all.count++;
      return this.all.joining;
    }
    const holds = Array.from({ length: BUCKETS }, (_, bucket) => this.buckets.acquire(bucket));
    const all: JoinedAll = { count: 1, joining: undefined, holds };
    this.all = all;
    all.joining = this.beginAll(all);
    return all.joining;
  }

  leaveAll(): void {
    if (this.all !== undefined && --this.all.count === 0) this.endAll(this.all);
  }

  /** A message of our own that is in the history now. It may come by pub/sub too, before or after. */
  takeOwn(message: PositionedMessage): void {
    this.topics.get(message.topic)?.sequencer.offer(message);
  }

  async close(): Promise<void> {
    this.closing.abort();
    for (const { sequencer } of this.topics.values()) sequencer.close();
    for (const { sequencer } of this.followed.values()) sequencer.close();
    this.topics.clear();
    this.followed.clear();
    await this.buckets.close();
  }

  private async begin(topic: string, joined: JoinedTopic): Promise<void> {
    try {
      await joined.hold.ready;
      // Only now, so that what is published later comes by pub/sub.
      joined.sequencer.start(await this.histories.head(topic));
      joined.joining = undefined;
    } catch (error) {
      // All who wait for this join hear of it; none of them needs to leave.
      if (this.topics.get(topic) === joined) {
        this.topics.delete(topic);
        joined.sequencer.close();
        joined.hold.release();
      }
      throw new BackplaneError(`join topic "${topic}"`, error);
    }
  }

  private async beginAll(all: JoinedAll): Promise<void> {
    try {
      await Promise.all(all.holds.map(({ ready }) => ready));
      all.joining = undefined;
    } catch (error) {
      if (this.all === all) this.endAll(all);
      throw new BackplaneError('join all topics', error);
    }
  }

  private endAll(all: JoinedAll): void {
    this.all = undefined;
    for (const { sequencer } of this.followed.values()) sequencer.close();
    this.followed.clear();
    for (const hold of all.holds) hold.release();
  }

  private take(frame: Buffer): void {
    const isWanted = (topic: string, origin: string, hasPosition: boolean): boolean =>
      (hasPosition || origin !== this.nodeId) && (this.all !== undefined || this.topics.has(topic));
    for (const message of decodeFrame(frame, isWanted)) {
      const { position } = message;
      if (position === undefined) this.pass(message);
      else this.sequencerFor({ ...message, position }).offer({ ...message, position });
    }
  }

  private pass(message: BackplaneMessage): void {
    const { topic } = message;
    const sequencer = this.topics.get(topic)?.sequencer ?? this.followed.get(topic)?.sequencer;
    if (sequencer === undefined) this.deliver(message);
    else sequencer.pass(message);
  }

  private sequencerFor({ topic, position }: PositionedMessage): TopicSequencer {
    const known = this.topics.get(topic)?.sequencer ?? this.followed.get(topic)?.sequencer;
    if (known !== undefined) return known;
    const sequencer = this.sequencer(topic);
    sequencer.start({ epoch: position.epoch, offset: position.offset - 1 });
    this.follow(topic, sequencer);
    return sequencer;
  }

  private follow(topic: string, sequencer: TopicSequencer): void {
    this.followed.set(topic, { bucket: bucketOf(topic), sequencer });
    if (this.followed.size <= MAX_FOLLOWED) return;
    for (const [oldest, other] of this.followed) {
      other.sequencer.close();
      this.followed.delete(oldest);
      return;
    }
  }

  private sequencer(topic: string): TopicSequencer {
    return new TopicSequencer({
      deliver: (message) => this.deliver(message),
      gap: (head) => this.tell(`A gap of topic "${topic}"`, () => this.receiver.onGap(topic, head)),
      read: (since) => this.histories.page(topic, since),
      pause: (attempt) => this.pause(attempt),
    });
  }

  private deliver(message: BackplaneMessage): void {
    this.tell(`A message of topic "${message.topic}"`, () => this.receiver.onMessage(message));
  }

  private tell(what: string, call: () => void): void {
    try {
      call();
    } catch (error) {
      // Whoever publishes must not suffer from who listens.
      this.logger.error(`${what} was not taken: ${messageOf(error)}`);
    }
  }

  private async catchUp(bucket: number): Promise<void> {
    this.catchingUp++;
    await Promise.all(this.sequencersOf(bucket).map((sequencer) => sequencer.catchUp()));
    this.catchingUp--;
    this.settle();
  }

  /** Says that all is well again when nothing is lost any more, and all that was missed is read. */
  private settle(): void {
    this.link.update();
    const { known, live } = this.buckets.figures;
    if (!this.hasLost || live < known || this.catchingUp > 0 || this.closing.signal.aborted) return;
    this.hasLost = false;
    this.tell('The recovery', () => this.receiver.onRecovered());
  }

  private sequencersOf(bucket: number): TopicSequencer[] {
    const all = [...this.topics.values(), ...this.followed.values()];
    return all.flatMap((one) => (one.bucket === bucket ? [one.sequencer] : []));
  }

  private async pause(attempt: number): Promise<void> {
    try {
      const ms = backoffMs(attempt, { baseMs: 20, maxMs: 1000 });
      await sleep(ms, undefined, { signal: this.closing.signal, ref: false });
    } catch {
      // Closed meanwhile.
    }
  }
}
