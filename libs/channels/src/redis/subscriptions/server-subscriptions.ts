import { Coalescer } from '@nestbox/core';
import type { RedisChannelKeys } from '../redis-channel-keys.js';
import { isReply, settled, type RedisCommands } from '../redis-commands.js';
import {
  LIST_TOPICS_LUA,
  READ_SETS_LUA,
  TIDY_TOPICS_LUA,
  WRITE_SUBSCRIPTIONS_LUA,
} from '../scripts/subscriptions.js';
import type { ListedTopics, RedisSubscriptions, TopicRange } from './redis-subscriptions.js';
import { topicBounds } from './topic-bounds.js';

/** A change, as the script takes it. */
interface Change {
  what: 'j' | 'l' | 'x';
  keys: string[];
}

/** Members of topics that are looked at in one go. */
const TIDY_MEMBERS = 1000;
/** Some small batches, so that the server and this process work at the same time. */
const BATCH = { maxItems: 25, maxInFlight: 3 } as const;

/** On one server each operation is atomic; those called at the same time go together in one script. */
export class ServerSubscriptions implements RedisSubscriptions {
  private readonly changes: Coalescer<Change, unknown>;
  private readonly sets: Coalescer<string, string>;
  private tidied: [bound: string, cursor: string] = ['-', '0'];

  constructor(
    private readonly commands: RedisCommands,
    private readonly keys: RedisChannelKeys,
    private readonly ttlMs: number,
  ) {
    const name = 'RedisEventHubStore';
    this.changes = new Coalescer({ name, flush: (changes) => this.send(changes), ...BATCH });
    this.sets = new Coalescer({
      name,
      flush: (sets) => this.read(sets),
      // Only the one who asked for something else than a set hears of it.
      isDataError: isReply,
      ...BATCH,
    });
  }

  async join(topic: string, channelId: string): Promise<void> {
    const keys = [this.keys.subs(channelId), this.keys.topic(topic)];
    settled(await this.changes.run({ what: 'j', keys }));
  }

  async leave(topic: string, channelId: string): Promise<boolean> {
    const keys = [this.keys.subs(channelId), this.keys.topic(topic)];
    return Number(settled(await this.changes.run({ what: 'l', keys }))) === 1;
  }

  async leaveAll(channelId: string): Promise<void> {
    settled(await this.changes.run({ what: 'x', keys: [this.keys.subs(channelId)] }));
  }

  async channelsOf(topic: string): Promise<string[]> {
    return namesOf(await this.sets.run(this.keys.topic(topic)));
  }

  async topicsOf(channelId: string): Promise<string[]> {
    return namesOf(await this.sets.run(this.keys.subs(channelId)));
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

  async close(): Promise<void> {
    await Promise.all([this.changes.close(), this.sets.close()]);
  }

  /** Those who ask for the same at the same time are given one answer. */
  private async read(sets: readonly string[]): Promise<string[]> {
    const distinct = [...new Set(sets)];
    const texts = await this.commands.run<string[]>(READ_SETS_LUA, distinct);
    if (distinct.length === sets.length) return texts;
    const byKey = new Map(distinct.map((key, i) => [key, texts[i]!]));
    return sets.map((key) => byKey.get(key)!);
  }

  private send(changes: readonly Change[]): Promise<unknown[]> {
    const keys = [this.keys.topics(0)];
    const args: string[] = [this.keys.before, String(this.ttlMs)];
    for (const change of changes) {
      keys.push(...change.keys);
      args.push(change.what);
    }
    return this.commands.run(WRITE_SUBSCRIPTIONS_LUA, keys, ...args);
  }
}

function namesOf(text: string): string[] {
  return text === '' ? [] : text.split('\0');
}
