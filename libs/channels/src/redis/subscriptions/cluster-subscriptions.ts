import { KeyedMutex, compareUtf8 } from '@nestbox/core';
import type { RedisChannelKeys } from '../redis-channel-keys.js';
import type { RedisCommands } from '../redis-commands.js';
import { PUT_MEMBER_LUA, PUT_INDEX_LUA, PUT_SUB_LUA, TAKE_MEMBER_LUA } from '../scripts/steps.js';
import { inChunks } from './in-chunks.js';
import type { ListedTopics, RedisSubscriptions, TopicRange } from './redis-subscriptions.js';
import { topicBounds } from './topic-bounds.js';

/** Steps that are under way at once for one call. */
const AT_ONCE = 100;
/** Members of topics that are looked at in one go. */
const TIDY_MEMBERS = 200;

/**
 * On a cluster a topic and the subscriptions of a channel are in different slots, so an operation is a row of steps.
 *
 * What counts is the channel's own set. It has a topic before the topic has the channel, and keeps it until the topic
 * has not: whatever a crash leaves behind is found by removing the channel, by its time to live, or by `tidy`.
 */
export class ClusterSubscriptions implements RedisSubscriptions {
  /** Within this process the operations of a channel go one after the other. */
  private readonly mutex = new KeyedMutex();
  private readonly running = new Set<Promise<unknown>>();
  private tidied = { shard: 0, bound: '-', cursor: '0' };

  constructor(
    private readonly commands: RedisCommands,
    private readonly keys: RedisChannelKeys,
    private readonly ttlMs: number,
  ) {}

  join(topic: string, channelId: string): Promise<void> {
    return this.exclusively(channelId, async () => {
      const [isOld] = await Promise.all([
        this.commands.run(PUT_SUB_LUA, [this.keys.subs(channelId)], topic, this.ttlMs),
        this.enlist(topic),
      ]);
      const key = this.keys.topic(topic);
      const members = await this.commands.run(PUT_MEMBER_LUA, [key], channelId, this.ttlMs);
      // Somebody who saw it empty may have taken it out of the index.
      if (Number(members) === 1) await this.enlist(topic);
      if (Number(isOld) === 1) await this.prolong(channelId);
    });
  }

  leave(topic: string, channelId: string): Promise<boolean> {
    return this.exclusively(channelId, async () => {
      await this.leaveTopic(topic, channelId);
      const had = await this.commands.command('SREM', this.keys.subs(channelId), topic);
      return Number(had) === 1;
    });
  }

  leaveAll(channelId: string): Promise<void> {
    return this.exclusively(channelId, async () => {
      const subs = this.keys.subs(channelId);
      for (;;) {
        const topics = await this.commands.command<string[]>('SRANDMEMBER', subs, AT_ONCE);
        if (topics.length === 0) return;
        await Promise.all(topics.map((topic) => this.leaveTopic(topic, channelId)));
        await this.commands.command('SREM', subs, ...topics);
      }
    });
  }

  /** Gives the subscriptions of a channel their time to live anew when a quarter of it has passed. */
  async keep(channelId: string): Promise<void> {
    const left = Number(await this.commands.command('PTTL', this.keys.subs(channelId)));
    if (left !== -2 && left <= this.ttlMs * 0.75) await this.prolong(channelId);
  }

  channelsOf(topic: string): Promise<string[]> {
    return this.commands.command('SMEMBERS', this.keys.topic(topic));
  }

  topicsOf(channelId: string): Promise<string[]> {
    return this.commands.command('SMEMBERS', this.keys.subs(channelId));
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
      const found = await Promise.all(
        Array.from({ length: this.keys.shardCount }, (_, shard) =>
          this.commands.command<string[]>(
            'ZRANGEBYLEX',
            this.keys.topics(shard),
            min,
            max,
            'LIMIT',
            0,
            wanted,
          ),
        ),
      );
      const page = found.flat().sort(compareUtf8).slice(0, wanted);
      const exist = await Promise.all(page.map((topic) => this.isThere(topic)));
      topics.push(...page.filter((_, i) => exist[i]));
      await inChunks(
        page.filter((_, i) => !exist[i]),
        AT_ONCE,
        (topic) => this.unlist(topic),
      );
      after = page.at(-1);
      if (page.length < wanted) return { topics, after: undefined };
    }
    return { topics, after };
  }

  async tidy(): Promise<void> {
    let left = TIDY_MEMBERS;
    for (let shards = 0; left > 0 && shards < this.keys.shardCount;) {
      const { shard, bound, cursor } = this.tidied;
      const index = this.keys.topics(shard);
      const [topic] = await this.commands.command<string[]>('ZRANGEBYLEX', index, bound, '+', 'LIMIT', 0, 1);
      if (topic === undefined) {
        shards++;
        this.tidied = { shard: (shard + 1) % this.keys.shardCount, bound: '-', cursor: '0' };
        continue;
      }
      const [next, members] = await this.commands.command<[string, string[]]>(
        'SSCAN',
        this.keys.topic(topic),
        cursor,
        'COUNT',
        TIDY_MEMBERS,
      );
      await inChunks(members, AT_ONCE, (channelId) => this.tidyMember(topic, channelId));
      if (next === '0' && !(await this.isThere(topic))) await this.unlist(topic);
      left -= members.length + 1;
      this.tidied = { shard, bound: next === '0' ? `(${topic}` : `[${topic}`, cursor: next };
    }
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.running);
  }

  private async tidyMember(topic: string, channelId: string): Promise<void> {
    if (await this.isSubscribed(topic, channelId)) return;
    await this.leaveTopic(topic, channelId);
    // It may have been subscribed between the two.
    if (!(await this.isSubscribed(topic, channelId))) return;
    await this.commands.run(PUT_MEMBER_LUA, [this.keys.topic(topic)], channelId, this.ttlMs);
    await this.enlist(topic);
  }

  private async isSubscribed(topic: string, channelId: string): Promise<boolean> {
    return Number(await this.commands.command('SISMEMBER', this.keys.subs(channelId), topic)) === 1;
  }

  private async isThere(topic: string): Promise<boolean> {
    return Number(await this.commands.command('EXISTS', this.keys.topic(topic))) === 1;
  }

  private async leaveTopic(topic: string, channelId: string): Promise<void> {
    const key = this.keys.topic(topic);
    const [, others] = await this.commands.run<[unknown, unknown]>(TAKE_MEMBER_LUA, [key], channelId);
    if (Number(others) === 0) await this.unlist(topic);
  }

  private async enlist(topic: string): Promise<void> {
    const index = this.keys.topics(this.keys.shardOf(topic));
    await this.commands.run(PUT_INDEX_LUA, [index], topic, this.ttlMs);
  }

  /** Takes a topic out of the index. Who joins enlists it after it has a member, so one of the two sees the other. */
  private async unlist(topic: string): Promise<void> {
    await this.commands.command('ZREM', this.keys.topics(this.keys.shardOf(topic)), topic);
    if (await this.isThere(topic)) await this.enlist(topic);
  }

  /** The topics first, so that each lives at least as long as the set that names it. */
  private async prolong(channelId: string): Promise<void> {
    const subs = this.keys.subs(channelId);
    const topics = await this.commands.command<string[]>('SMEMBERS', subs);
    await inChunks(topics, AT_ONCE, async (topic) => {
      await this.commands.command('PEXPIRE', this.keys.topics(this.keys.shardOf(topic)), this.ttlMs);
      await this.commands.command('PEXPIRE', this.keys.topic(topic), this.ttlMs);
    });
    await this.commands.command('PEXPIRE', subs, this.ttlMs);
  }

  private exclusively<R>(channelId: string, fn: () => Promise<R>): Promise<R> {
    const run = this.mutex.run(channelId, fn);
    this.running.add(run);
    const forget = (): void => {
      this.running.delete(run);
    };
    run.then(forget, forget);
    return run;
  }
}
