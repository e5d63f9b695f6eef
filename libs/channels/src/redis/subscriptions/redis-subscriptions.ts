import { assertName } from '@nestbox/core';
import type { RedisSource } from '@nestbox/redis';
import { RedisChannelKeys } from '../redis-channel-keys.js';
import { RedisCommands } from '../redis-commands.js';
import { ClusterSubscriptions } from './cluster-subscriptions.js';
import { ServerSubscriptions } from './server-subscriptions.js';

/** Which part of the topics to list. */
export interface TopicRange {
  prefix: string;
  after: string | undefined;
  limit: number;
}

/** Topics in order, and where to go on when there may be more. */
export interface ListedTopics {
  topics: string[];
  after: string | undefined;
}

/** Subscriptions in Redis, whose arguments have been checked: shared by the stores of channels and of the event hub. */
export interface RedisSubscriptions {
  join(topic: string, channelId: string): Promise<void>;
  /** Resolves to whether it was subscribed. */
  leave(topic: string, channelId: string): Promise<boolean>;
  leaveAll(channelId: string): Promise<void>;
  channelsOf(topic: string): Promise<string[]>;
  topicsOf(channelId: string): Promise<string[]>;
  count(topic: string): Promise<number>;
  list(range: TopicRange): Promise<ListedTopics>;
  /** Takes out what expired or was left by a crash, some of it per call. */
  tidy(): Promise<void>;
  /** Resolves when all calls have been settled. */
  close(): Promise<void>;
}

/** Subscriptions with the connection to Redis that they are on. */
export interface OpenSubscriptions {
  readonly subscriptions: RedisSubscriptions;
  connect(): Promise<void>;
  /** How long a round trip takes, in ms. */
  ping(): Promise<number>;
  /** Closes what it opened, after the calls that are under way. */
  close(): Promise<void>;
}

/** @throws InvalidArgumentError */
export function redisSubscriptions(source: RedisSource, keyPrefix: string, ttlMs: number): OpenSubscriptions {
  assertName(keyPrefix, 'keyPrefix');
  const commands = new RedisCommands(source);
  const subscriptions = subscriptionsOn(commands, keyPrefix, ttlMs);
  return {
    subscriptions,
    connect: () => commands.connect(),
    ping: () => commands.ping(),
    close: async () => {
      await subscriptions.close();
      await commands.close();
    },
  };
}

function subscriptionsOn(commands: RedisCommands, keyPrefix: string, ttlMs: number): RedisSubscriptions {
  const keys = new RedisChannelKeys(keyPrefix, commands.isCluster);
  return commands.isCluster
    ? new ClusterSubscriptions(commands, keys, ttlMs)
    : new ServerSubscriptions(commands, keys, ttlMs);
}
