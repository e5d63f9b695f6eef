import type { MemoryChannelStore } from '@nestbox/channels';
import { ClosedError, assertName, compareUtf8 } from '@nestbox/core';
import { EventHubStore, type ListTopicsOptions, type TopicOf, type TopicPage } from '../event-hub.store.js';
import { checkList, cursorOf, distinctIds } from '../support/arguments.js';

/** Subscriptions in this process, lost with it: for tests, and for applications of one instance. */
export class MemoryEventHubStore<
  Topics extends object = Record<string, unknown>,
> extends EventHubStore<Topics> {
  readonly backend = 'memory';
  private readonly topics = new Map<string, Set<string>>();
  private readonly subscriptions = new Map<string, Set<string>>();
  private readonly removal: Disposable | undefined;
  private isClosed = false;

  /**
   * @param channels where the channels are: others are refused then, and removed ones lose their subscriptions.
   *   Without it any id is taken for a channel
   */
  constructor(private readonly channels?: MemoryChannelStore) {
    super();
    this.removal = channels?.onRemoved((ids) => {
      for (const id of ids) this.forget(id);
    });
  }

  async init(): Promise<void> {
    this.assertOpen();
  }

  async close(): Promise<void> {
    this.isClosed = true;
    this.removal?.[Symbol.dispose]();
  }

  async ping(): Promise<number> {
    this.assertOpen();
    return 0;
  }

  async getChannelIdsForTopic(topic: TopicOf<Topics>): Promise<string[]> {
    assertName(topic, 'topic');
    this.assertOpen();
    return [...(this.topics.get(topic) ?? [])];
  }

  async subscribe(topic: TopicOf<Topics>, channelId: string): Promise<boolean> {
    assertName(topic, 'topic');
    assertName(channelId, 'channelId');
    this.assertOpen();
    if (this.channels?.has(channelId) === false) return false;
    add(this.topics, topic, channelId);
    add(this.subscriptions, channelId, topic);
    return true;
  }

  async unsubscribe(topic: TopicOf<Topics>, channelId: string): Promise<boolean> {
    assertName(topic, 'topic');
    assertName(channelId, 'channelId');
    this.assertOpen();
    remove(this.topics, topic, channelId);
    return remove(this.subscriptions, channelId, topic);
  }

  async unsubscribeAll(channelId: string): Promise<void> {
    assertName(channelId, 'channelId');
    this.assertOpen();
    this.forget(channelId);
  }

  async getTopicsForChannel(channelId: string): Promise<TopicOf<Topics>[]> {
    assertName(channelId, 'channelId');
    this.assertOpen();
    return this.topicsOf(channelId);
  }

  async getTopicsForChannels(channelIds: readonly string[]): Promise<Map<string, TopicOf<Topics>[]>> {
    const ids = distinctIds(channelIds);
    this.assertOpen();
    return new Map(ids.filter((id) => this.subscriptions.has(id)).map((id) => [id, this.topicsOf(id)]));
  }

  async listTopics(options: ListTopicsOptions = {}): Promise<TopicPage> {
    const { prefix, after, limit } = checkList(options);
    this.assertOpen();
    const topics = [...this.topics.keys()]
      .filter((topic) => topic.startsWith(prefix) && (after === undefined || compareUtf8(topic, after) > 0))
      .sort(compareUtf8);
    const page = topics.slice(0, limit);
    return { topics: page, ...(topics.length > limit && { cursor: cursorOf(page.at(-1)!) }) };
  }

  async countForTopic(topic: TopicOf<Topics>): Promise<number> {
    assertName(topic, 'topic');
    this.assertOpen();
    return this.topics.get(topic)?.size ?? 0;
  }

  private topicsOf(channelId: string): TopicOf<Topics>[] {
    return [...(this.subscriptions.get(channelId) ?? [])] as TopicOf<Topics>[];
  }

  private forget(channelId: string): void {
    for (const topic of this.subscriptions.get(channelId) ?? []) remove(this.topics, topic, channelId);
    this.subscriptions.delete(channelId);
  }

  private assertOpen(): void {
    if (this.isClosed) throw new ClosedError('MemoryEventHubStore');
  }
}

function add(sets: Map<string, Set<string>>, key: string, value: string): void {
  const set = sets.get(key);
  if (set === undefined) sets.set(key, new Set([value]));
  else set.add(value);
}

/** Whether it was there. */
function remove(sets: Map<string, Set<string>>, key: string, value: string): boolean {
  const set = sets.get(key);
  const was = set?.delete(value) ?? false;
  if (set?.size === 0) sets.delete(key);
  return was;
}
