import { BackplaneError, type Asked, type ChannelAndSession, type Frame } from '@nestbox/channels';
import type { JsonObject, JsonValue } from '@nestbox/core';
import { EventHubStore, type HubChannels, type TopicPage } from '@nestbox/event-hub';

type Relayed = Parameters<HubChannels['onRelay']>[1];

/** All channels of all instances of a test. */
export class FakeChannelRegistry {
  readonly owners = new Map<string, FakeChannels>();
  readonly sessions = new Map<string, JsonObject>();
}

/** The channels of one instance, and what was sent to each. */
export class FakeChannels implements HubChannels {
  readonly sent = new Map<string, Frame[]>();
  readonly relays: string[] = [];
  readonly store: HubChannels['store'];
  relayFailure: Error | undefined;
  losesRelays = false;
  currentTransaction: HubChannels['currentTransaction'];
  private readonly closed = new Set<Parameters<HubChannels['onClosed']>[0]>();
  private readonly removed = new Set<(channelIds: readonly string[]) => void | Promise<void>>();
  private readonly handlers = new Map<string, Relayed>();

  constructor(
    readonly nodeId: string,
    readonly registry = new FakeChannelRegistry(),
  ) {
    this.store = {
      backend: 'fake',
      locate: async (ids) =>
        new Map(
          ids.flatMap((id): [string, string][] => {
            const owner = registry.owners.get(id);
            return owner === undefined ? [] : [[id, owner.nodeId]];
          }),
        ),
      getChannels: async (ids) => {
        const found = ids.filter((id) => registry.owners.has(id));
        return new Map(
          found.map((channelId): [string, ChannelAndSession] => [
            channelId,
            {
              channelId,
              channelName: 'test',
              openingData: {},
              session: registry.sessions.get(channelId) ?? null,
            },
          ]),
        );
      },
    };
  }

  open(channelId: string): void {
    this.registry.owners.set(channelId, this);
    this.sent.set(channelId, []);
  }

  close(channelId: string): void {
    this.registry.owners.delete(channelId);
    this.sent.delete(channelId);
    for (const listener of this.closed) listener(channelId, false);
  }

  /** Another instance, or this one, has it now. */
  giveTo(channelId: string, other: FakeChannels): void {
    other.open(channelId);
    if (other !== this) this.sent.delete(channelId);
    for (const listener of this.closed) listener(channelId, true);
  }

  async remove(channelIds: readonly string[]): Promise<void> {
    for (const channelId of channelIds) this.registry.owners.delete(channelId);
    for (const listener of this.removed) await listener(channelIds);
  }

  get(channelId: string): object | undefined {
    return this.sent.get(channelId);
  }

  localIds(): Iterable<string> {
    return this.sent.keys();
  }

  deliver(channelId: string, frame: Frame): boolean {
    const sent = this.sent.get(channelId);
    sent?.push(frame);
    return sent !== undefined;
  }

  async relay(channelId: string, kind: string, payload: JsonValue): Promise<'local' | 'remote' | 'gone'> {
    this.relays.push(`${kind} ${channelId}`);
    if (this.relayFailure !== undefined) throw this.relayFailure;
    const owner = this.registry.owners.get(channelId);
    if (owner === undefined) return 'gone';
    if (!this.losesRelays) {
      setImmediate(
        () => void owner.handlers.get(kind)?.(channelId, JSON.parse(JSON.stringify(payload)) as JsonValue),
      );
    }
    return owner === this ? 'local' : 'remote';
  }

  async ask(channelId: string, kind: string, payload: JsonValue, signal?: AbortSignal): Promise<Asked> {
    this.relays.push(`${kind} ${channelId}`);
    if (this.relayFailure !== undefined) throw new BackplaneError('ask', this.relayFailure);
    const owner = this.registry.owners.get(channelId);
    if (owner === undefined) return { where: 'gone' };
    if (owner === this) return { where: 'local' };
    await new Promise(setImmediate);
    if (this.losesRelays) {
      return new Promise((_, reject) => {
        signal?.addEventListener('abort', () => reject(signal.reason as Error));
      });
    }
    const handler = owner.handlers.get(kind);
    const answer = await handler?.(channelId, JSON.parse(JSON.stringify(payload)) as JsonValue);
    return { where: 'remote', answer: answer ?? null };
  }

  onRelay(kind: string, handler: Relayed): Disposable {
    this.handlers.set(kind, handler);
    return { [Symbol.dispose]: () => void this.handlers.delete(kind) };
  }

  onClosed(listener: Parameters<HubChannels['onClosed']>[0]): Disposable {
    this.closed.add(listener);
    return { [Symbol.dispose]: () => void this.closed.delete(listener) };
  }

  onRemoved(listener: (channelIds: readonly string[]) => void | Promise<void>): Disposable {
    this.removed.add(listener);
    return { [Symbol.dispose]: () => void this.removed.delete(listener) };
  }

  /** The text frames that a channel got, parsed. */
  messages(channelId: string): { event: string; data: unknown; epoch?: string; offset?: number }[] {
    return this.frames(channelId).flatMap(({ binary, data }) =>
      binary ? [] : [JSON.parse(data.toString()) as { event: string; data: unknown }],
    );
  }

  /** The data of the messages of topics that a channel got. */
  data(channelId: string): unknown[] {
    return this.messages(channelId).map(({ data }) => data);
  }

  frames(channelId: string): Frame[] {
    return this.sent.get(channelId) ?? [];
  }
}

/** Subscriptions of all instances of a test. */
export class FakeStore extends EventHubStore {
  readonly backend = 'fake';
  readonly subscriptions = new Map<string, Set<string>>();
  failure: Error | undefined;
  refuses = false;
  isClosed = false;
  delay: () => Promise<void> = async () => undefined;

  async init(): Promise<void> {
    if (this.failure !== undefined) throw this.failure;
  }

  async close(): Promise<void> {
    this.isClosed = true;
  }

  async ping(): Promise<number> {
    if (this.failure !== undefined) throw this.failure;
    return 0.25;
  }

  async getChannelIdsForTopic(topic: string): Promise<string[]> {
    return [...this.subscriptions].filter(([, topics]) => topics.has(topic)).map(([channelId]) => channelId);
  }

  async subscribe(topic: string, channelId: string): Promise<boolean> {
    await this.delay();
    if (this.failure !== undefined) throw this.failure;
    if (this.refuses) return false;
    const topics = this.subscriptions.get(channelId) ?? new Set();
    this.subscriptions.set(channelId, topics.add(topic));
    return true;
  }

  async unsubscribe(topic: string, channelId: string): Promise<boolean> {
    await this.delay();
    return this.subscriptions.get(channelId)?.delete(topic) ?? false;
  }

  async unsubscribeAll(channelId: string): Promise<void> {
    await this.delay();
    this.subscriptions.delete(channelId);
  }

  async getTopicsForChannel(channelId: string): Promise<string[]> {
    return [...(this.subscriptions.get(channelId) ?? [])];
  }

  async getTopicsForChannels(channelIds: readonly string[]): Promise<Map<string, string[]>> {
    await this.delay();
    return new Map(
      channelIds.flatMap((id): [string, string[]][] => {
        const topics = this.subscriptions.get(id);
        return topics === undefined || topics.size === 0 ? [] : [[id, [...topics]]];
      }),
    );
  }

  async listTopics(): Promise<TopicPage> {
    return { topics: [...new Set([...this.subscriptions.values()].flatMap((topics) => [...topics]))] };
  }

  async countForTopic(topic: string): Promise<number> {
    return (await this.getChannelIdsForTopic(topic)).length;
  }
}
