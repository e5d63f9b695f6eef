import { ClosedError, InvalidArgumentError, assertName, messageOf } from '@nestbox/core';
import { redisOf, type Redis, type RedisSource } from '@nestbox/redis';
import { BackplaneError } from '../../channel.errors.js';
import {
  Backplane,
  type BackplaneReceiver,
  type BackplaneState,
  type HistoryPage,
  type OutgoingMessage,
  type Position,
  type Retention,
} from '../backplane.js';
import { LinkState } from './link-state.js';
import { RedisBackplaneKeys } from './redis-backplane-keys.js';
import { RedisHistories } from './redis-histories.js';
import { RedisPublisher } from './redis-publisher.js';
import { RedisReceiver } from './redis-receiver.js';
import { decodeBody, encodeBody } from './wire.js';

/** What a backplane calls its keys in Redis, and how it publishes. */
export interface RedisBackplaneOptions {
  /** Before the names of all that it has in Redis. Default: `pikku`. */
  prefix?: string;
  /** Tells backplanes with the same prefix apart. Default: `hub`. */
  name?: string;
  /**
   * Whether to use sharded pub/sub (Redis 7), where a message goes to one shard of a cluster and not to all nodes. All
   * instances must do the same. Default: true on a cluster.
   */
  sharded?: boolean;
}

/** What is there while it is open. */
interface Link {
  nodeId: string;
  /** For commands. One of its own, which never sends a command twice, whatever the options of a shared client are. */
  own: Redis;
  publisher: RedisPublisher;
  histories: RedisHistories;
  incoming: RedisReceiver;
}

/**
 * Carries messages by Redis pub/sub, and keeps histories in Redis. A message with a history is kept and sent by one
 * script, so what was missed while the link was lost is read from the history, exactly.
 */
export class RedisBackplane extends Backplane {
  readonly backend = 'redis';

  private readonly redis: Redis;
  private readonly isOwned: boolean;
  private readonly keys: RedisBackplaneKeys;
  private readonly isSharded: boolean;
  private readonly link = new LinkState();
  private opened: Link | undefined;
  private opening: Promise<void> | undefined;
  private closing: Promise<void> | undefined;
  /** What was joined before it was opened; undefined stands for all topics. */
  private early: (string | undefined)[] = [];

  /** @param connection a Redis of @nestbox/redis, an ioredis client, a URL or options @throws InvalidArgumentError */
  constructor(
    connection: RedisSource,
    { prefix = 'pikku', name = 'hub', sharded }: RedisBackplaneOptions = {},
  ) {
    super();
    this.keys = new RedisBackplaneKeys(prefix, name);
    const { redis, owned } = redisOf(connection);
    this.redis = redis;
    this.isOwned = owned;
    this.isSharded = sharded ?? redis.isCluster;
  }

  get state(): BackplaneState {
    return this.link.state;
  }

  async open(nodeId: string, receiver: BackplaneReceiver): Promise<void> {
    assertName(nodeId, 'nodeId');
    if (this.closing !== undefined) throw new ClosedError('RedisBackplane');
    if (this.opened !== undefined) return;
    this.opening ??= this.connect(nodeId, receiver);
    try {
      await this.opening;
    } finally {
      this.opening = undefined;
    }
  }

  close(): Promise<void> {
    this.closing ??= this.shut();
    return this.closing;
  }

  join(topic: string): Promise<void> | undefined {
    assertTopic(topic);
    return this.begin(topic);
  }

  leave(topic: string): void {
    if (this.opened === undefined) this.forget(topic);
    else this.opened.incoming.leave(topic);
  }

  joinAll(): Promise<void> | undefined {
    return this.begin(undefined);
  }

  leaveAll(): void {
    if (this.opened === undefined) this.forget(undefined);
    else this.opened.incoming.leaveAll();
  }

  async publish(message: OutgoingMessage, retention?: Retention): Promise<Position | undefined> {
    const { topic } = message;
    assertTopic(topic);
    if (retention !== undefined) assertRetention(retention);
    const operation = `publish to topic "${topic}"`;
    const { nodeId, publisher, incoming } = this.ready(operation);
    // This copies the payload, which is the caller's to use again.
    const body = encodeBody(message, nodeId);
    const position = await this.attempt(operation, () => publisher.publish(topic, body, retention));
    if (position !== undefined && incoming.isJoined(topic)) {
      const own = decodeBody(body, position, () => true);
      if (own !== undefined) incoming.takeOwn({ ...own, position });
    }
    return position;
  }

  async head(topic: string): Promise<Position | undefined> {
    assertTopic(topic);
    const operation = `read the head of topic "${topic}"`;
    const { histories } = this.ready(operation);
    return this.attempt(operation, () => histories.head(topic));
  }

  async history(
    topic: string,
    { since, limit = 1000 }: { since?: Position; limit?: number } = {},
  ): Promise<HistoryPage | undefined> {
    assertTopic(topic);
    if (!Number.isSafeInteger(limit) || limit < 0) {
      throw new InvalidArgumentError('limit', 'must be a whole number of at least 0.');
    }
    const operation = `read the history of topic "${topic}"`;
    const { histories } = this.ready(operation);
    return this.attempt(operation, () => histories.read(topic, since, limit));
  }

  /** @param topic undefined for all */
  private begin(topic: string | undefined): Promise<void> | undefined {
    if (this.closing !== undefined) throw new ClosedError('RedisBackplane');
    if (this.opened === undefined) {
      // `open` waits for it.
      this.early.push(topic);
      return undefined;
    }
    const { incoming } = this.opened;
    return topic === undefined ? incoming.joinAll() : incoming.join(topic);
  }

  private forget(topic: string | undefined): void {
    const i = this.early.indexOf(topic);
    if (i >= 0) this.early.splice(i, 1);
  }

  private ready(operation: string): Link {
    if (this.closing !== undefined) throw new ClosedError('RedisBackplane');
    if (this.opened === undefined) {
      throw new BackplaneError(operation, new Error('the backplane is not open. Call open() first.'));
    }
    return this.opened;
  }

  private async attempt<T>(operation: string, act: () => Promise<T>): Promise<T> {
    try {
      const result = await act();
      this.link.succeeded();
      return result;
    } catch (error) {
      if (error instanceof ClosedError) throw error;
      this.link.failed(error);
      throw new BackplaneError(operation, error);
    }
  }

  private async connect(nodeId: string, receiver: BackplaneReceiver): Promise<void> {
    const { keys, isSharded } = this;
    const { redis: own } = redisOf(this.redis.duplicate('backplane'));
    try {
      await own.connect();
      // An empty frame, to learn whether the server can do what publishing takes.
      if (isSharded) await own.client.spublish(keys.channel(0), '');
    } catch (error) {
      own.client.disconnect();
      await own.close();
      const isOld = /unknown command/i.test(messageOf(error));
      const reason = isOld ? new Error('sharded pub/sub needs Redis 7. Set sharded: false.') : error;
      throw new BackplaneError('open the Redis backplane', reason);
    }
    const commands = (): Redis['client'] => own.client;
    const publisher = new RedisPublisher(keys, isSharded, commands, (definition) => own.script(definition));
    const histories = new RedisHistories(keys, commands, (definition) => own.script(definition));
    const incoming = new RedisReceiver(this.redis, keys, isSharded, nodeId, receiver, histories, this.link);
    this.opened = { nodeId, own, publisher, histories, incoming };
    const early = this.early.splice(0);
    try {
      await Promise.all(early.map(async (topic) => this.begin(topic)));
    } catch (error) {
      this.opened = undefined;
      this.early.unshift(...early);
      await incoming.close();
      own.client.disconnect();
      await own.close();
      throw error;
    }
    this.link.open(
      () => incoming.figures,
      () => own.ping(),
    );
  }

  private async shut(): Promise<void> {
    await this.opening?.catch(() => undefined);
    const { opened } = this;
    this.link.close();
    if (opened !== undefined) {
      await opened.publisher.close();
      await opened.incoming.close();
      opened.own.client.disconnect();
      await opened.own.close();
    }
    if (this.isOwned) await this.redis.close();
  }
}

function assertTopic(topic: string): void {
  assertName(topic, 'topic');
}

function assertRetention({ size, ttlMs }: Retention): void {
  if (!Number.isSafeInteger(size) || size < 1) {
    throw new InvalidArgumentError('retention.size', 'must be a whole number of at least 1.');
  }
  if (!Number.isFinite(ttlMs) || ttlMs <= 0) {
    throw new InvalidArgumentError('retention.ttlMs', 'must be more than 0.');
  }
}
