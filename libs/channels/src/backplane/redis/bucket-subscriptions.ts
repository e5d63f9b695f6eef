import type { Redis, RedisSubscription } from '@nestbox/redis';

/** What happens to the subscription of a bucket. */
export interface BucketListener {
  onFrame(frame: Buffer): void;
  onLost(bucket: number): void;
  /** It is there again; what was sent in between is lost. */
  onBack(bucket: number): void;
  onChange(): void;
}

interface Bucket {
  users: number;
  subscribed: Promise<RedisSubscription>;
  /** Whether it was confirmed once. */
  isKnown: boolean;
  isLive: boolean;
  /** Those who joined while it was lost. */
  waiting: (() => void)[];
}

/** How long a join waits for a subscription that is lost. */
const BACK_WITHIN_MS = 1500;

/** Somebody's use of a bucket. */
export interface BucketHold {
  /** Resolves when the subscription is confirmed. */
  ready: Promise<void>;
  /** May be called twice. */
  release(): void;
}

/** Subscribes to the channels of buckets as long as somebody uses them. */
export class BucketSubscriptions {
  private readonly buckets = new Map<number, Bucket>();

  constructor(
    private readonly redis: Redis,
    private readonly sharded: boolean,
    private readonly channelOf: (bucket: number) => string,
    private readonly listener: BucketListener,
  ) {}

  /** How many were confirmed once, and of how many of these messages come now. */
  get figures(): { known: number; live: number } {
    let [known, live] = [0, 0];
    for (const { isKnown, isLive } of this.buckets.values()) {
      if (isKnown) known++;
      if (isLive) live++;
    }
    return { known, live };
  }

  acquire(number: number): BucketHold {
    const bucket = this.buckets.get(number) ?? this.make(number);
    bucket.users++;
    let isHeld = true;
    return {
      ready: bucket.subscribed.then(() => whenLive(bucket)),
      release: () => {
        if (!isHeld) return;
        isHeld = false;
        if (--bucket.users === 0) this.drop(number, bucket);
      },
    };
  }

  async close(): Promise<void> {
    const all = [...this.buckets.values()];
    this.buckets.clear();
    await Promise.all(all.map(end));
  }

  private make(number: number): Bucket {
    const bucket: Bucket = {
      users: 0,
      subscribed: this.subscribe(number, () => bucket),
      isKnown: false,
      isLive: false,
      waiting: [],
    };
    this.buckets.set(number, bucket);
    // Whoever asks meanwhile shares the failure; who asks later makes it be tried anew.
    bucket.subscribed.catch(() => this.drop(number, bucket));
    return bucket;
  }

  private drop(number: number, bucket: Bucket): void {
    if (this.buckets.get(number) !== bucket) return;
    this.buckets.delete(number);
    void end(bucket);
    this.listener.onChange();
  }

  private subscribe(number: number, self: () => Bucket): Promise<RedisSubscription> {
    const isOurs = (): boolean => this.buckets.get(number) === self();
    return this.redis.subscribe(
      this.channelOf(number),
      (frame) => {
        if (isOurs()) this.listener.onFrame(frame);
      },
      {
        binary: true,
        sharded: this.sharded,
        onSubscribed: () => {
          const bucket = self();
          const isBack = bucket.isKnown;
          bucket.isKnown = true;
          bucket.isLive = true;
          for (const wake of bucket.waiting.splice(0)) wake();
          if (!isOurs()) return;
          if (isBack) this.listener.onBack(number);
          this.listener.onChange();
        },
        onLost: () => {
          self().isLive = false;
          if (!isOurs()) return;
          this.listener.onLost(number);
          this.listener.onChange();
        },
      },
    );
  }
}

/** Messages come only then; one that waits for long is told that they do not. */
async function whenLive(bucket: Bucket): Promise<void> {
  if (bucket.isLive) return;
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => {
      bucket.waiting = bucket.waiting.filter((one) => one !== wake);
      reject(new Error('the subscription to Redis is lost.'));
    }, BACK_WITHIN_MS);
    timer.unref();
    const wake = (): void => {
      clearTimeout(timer);
      resolve();
    };
    bucket.waiting.push(wake);
  });
}

async function end({ subscribed }: Bucket): Promise<void> {
  try {
    await (await subscribed).unsubscribe();
  } catch {
    // It was never there.
  }
}
