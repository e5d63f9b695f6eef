import { Coalescer } from '@nestbox/core';
import type { RedisChannelKeys } from '../redis-channel-keys.js';
import { settled, type RedisCommands } from '../redis-commands.js';
import { LIST_TOPICS_LUA, SUBSCRIPTION_OPERATIONS_LUA, TIDY_TOPICS_LUA } from '../scripts/subscriptions.js';
import type { ListedTopics, RedisSubscriptions, TopicRange } from './redis-subscriptions.js';
import { topicBounds } from './topic-bounds.js';

interface Operation {
  what: 'join' | 'leave' | 'leaveAll' | 'topics' | 'channels';
  key: string;
  channelId: string;
  topic: string;
}

/** Members of topics that are looked at in one go. */
const TIDY_MEMBERS = 1000;

/** On one server each operation is atomic; those called at the same time go together in one script. */
export class ServerSubscriptions implements RedisSubscriptions {
  private readonly coalescer: Coalescer<Operation, unknown>;
  private tidied: [bound: string, cursor: string] = ['-', '0'];

  constructor(
    private readonly commands: RedisCommands,
    private readonly keys: RedisChannelKeys,
    private readonly ttlMs: number,
  ) {
    this.coalescer = new Coalescer({
      name: 'RedisEventHubStore',
      flush: (operations) => this.send(operations),
      maxItems: 200,
      maxInFlight: 2,
    });
  }

  async join(topic: string, channelId: string): Promise<void> {
    settled(await this.coalescer.run({ what: 'join', key: this.keys.subs(channelId), channelId, topic }));
  }

  async leave(topic: string, channelId: string): Promise<boolean> {
    const key = this.keys.subs(channelId);
    return Number(settled(await this.coalescer.run({ what: 'leave', key, channelId, topic }))) === 1;
  }

  async leaveAll(channelId: string): Promise<void> {
    const key = this.keys.subs(channelId);
    settled(await this.coalescer.run({ what: 'leaveAll', key, channelId, topic: '' }));
  }

  async channelsOf(topic: string): Promise<string[]> {
    const key = this.keys.topic(topic);
    return settled(await this.coalescer.run({ what: 'channels', key, channelId: '', topic: '' }));
  }

  async topicsOf(channelId: string): Promise<string[]> {
    const key = this.keys.subs(channelId);
    return settled(await this.coalescer.run({ what: 'topics', key, channelId: '', topic: '' }));
  }

  async count(topic: string): Promise<number> {
    return Number(await this.commands.command('SCARD', this.keys.topic(topic)));
  }

  async list(range: TopicRange): Promise<ListedTopics> {
    const { prefix, limit } = range;
    const topics: string[] = [];
    let { after } = range;
    while (topics.length < limit) {
      const wanted = limit - topics.length;
      const [min, max] = topicBounds({ prefix, after, limit });
      const rows = await this.commands.run<[string, unknown][]>(
        LIST_TOPICS_LUA,
        [this.keys.topics(0)],
        this.keys.before,
        min,
        max,
        wanted,
      );
      for (const [topic, there] of rows) if (Number(there) === 1) topics.push(topic);
      after = rows.at(-1)?.[0];
      if (rows.length < wanted) return { topics, after: undefined };
    }
    return { topics, after };
  }

  async tidy(): Promise<void> {
    this.tidied = await this.commands.run(
      TIDY_TOPICS_LUA,
      [this.keys.topics(0)],
      this.keys.before,
      ...this.tidied,
      TIDY_MEMBERS,
    );
  }

  close(): Promise<void> {
    return this.coalescer.close();
  }

  private send(operations: readonly Operation[]): Promise<unknown[]> {
    const keys = [this.keys.topics(0)];
    const args: (string | number)[] = [this.keys.before, this.ttlMs];
    for (const { what, key, channelId, topic } of operations) {
      keys.push(key);
      args.push(what, channelId, topic);
    }
    return this.commands.run(SUBSCRIPTION_OPERATIONS_LUA, keys, ...args);
  }
}
