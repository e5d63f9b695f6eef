import { Coalescer } from '@nestbox/core';
import type { RedisScript } from '@nestbox/redis';
import { randomBytes } from 'node:crypto';
import type { Position, Retention } from '../backplane.js';
import { bucketOf, type RedisBackplaneKeys } from './redis-backplane-keys.js';
import { PUBLISH } from './scripts.js';
import { encodeFrame } from './wire.js';

interface Outgoing {
  topic: string;
  body: Buffer;
  retention: Retention | undefined;
}

interface Commands {
  publish(channel: string, message: Buffer): Promise<unknown>;
  spublish(channel: string, message: Buffer): Promise<unknown>;
}

/**
 * Sends messages. Those of a bucket that are published while a batch is under way go together in the next one, as one
 * message to Redis; there is never more than one batch of a bucket under way, so that none overtakes another, not even
 * when a cluster redirects it.
 */
export class RedisPublisher {
  private readonly buckets = new Map<number, Coalescer<Outgoing, Position | undefined>>();
  private readonly script: RedisScript;

  constructor(
    private readonly keys: RedisBackplaneKeys,
    private readonly isSharded: boolean,
    private readonly commands: () => Commands,
    makeScript: (definition: { name: string; lua: string }) => RedisScript,
  ) {
    this.script = makeScript({ name: 'publish', lua: PUBLISH });
  }

  publish(topic: string, body: Buffer, retention: Retention | undefined): Promise<Position | undefined> {
    const number = bucketOf(topic);
    let bucket = this.buckets.get(number);
    if (bucket === undefined) {
      bucket = new Coalescer<Outgoing, Position | undefined>({
        name: 'RedisBackplane',
        flush: (batch) => this.send(this.keys.channel(number), batch),
        size: (item) => item.body.length,
        maxInFlight: 1,
      });
      this.buckets.set(number, bucket);
    }
    return bucket.run({ topic, body, retention });
  }

  /** Resolves when all that was published is sent, or has failed. */
  async close(): Promise<void> {
    await Promise.all([...this.buckets.values()].map((bucket) => bucket.close()));
  }

  private async send(channel: string, batch: Outgoing[]): Promise<(Position | undefined)[]> {
    if (batch.every(({ retention }) => retention === undefined)) {
      const frame = encodeFrame(batch.map(({ body }) => body));
      await (this.isSharded
        ? this.commands().spublish(channel, frame)
        : this.commands().publish(channel, frame));
      return batch.map(() => undefined);
    }
    const keys: string[] = [];
    const args: (string | Buffer)[] = [this.isSharded ? 'SPUBLISH' : 'PUBLISH', channel];
    for (const { topic, body, retention } of batch) {
      if (retention === undefined) {
        args.push(body, '', '', '');
        continue;
      }
      keys.push(this.keys.head(topic), this.keys.history(topic));
      const ttl = Math.max(1, Math.ceil(retention.ttlMs));
      args.push(body, String(retention.size), String(ttl), randomBytes(6).toString('base64url'));
    }
    // On a cluster it is the keys that say where to run it, and there is at least one.
    const replies = (await this.script.run(keys, args)) as [epoch?: string, offset?: number][];
    return replies.map(([epoch, offset]) =>
      epoch === undefined || offset === undefined ? undefined : { epoch, offset },
    );
  }
}
