import { ChannelNotFoundError, type Position } from '@nestbox/channels';
import { messageOf, type JsonObject, type JsonValue } from '@nestbox/core';
import type { Logger } from '@nestjs/common';
import type { EventHubStore } from '../event-hub.store.js';
import { attach, type AttachContext, type Attached } from './attach.js';
import { ChannelTurns } from './channel-turns.js';
import type { HubChannels } from './hub-channels.js';

/** Channels whose subscriptions are compared with the store by one query. */
const RESYNC_BATCH = 500;

export interface SubscriptionsOptions extends AttachContext {
  name: string;
  store: EventHubStore;
  channels: HubChannels;
  /** Whether the store ends the subscriptions of removed channels by itself. */
  cascades: boolean;
  logger: Logger;
}

/** Brings the store, and the members of whichever instance holds a channel, to what was asked for. */
export class Subscriptions {
  private readonly turns = new ChannelTurns();
  private readonly disposables: Disposable[];
  private resyncing: Promise<void> | undefined;
  private resyncAgain = false;
  private isClosed = false;

  constructor(private readonly options: SubscriptionsOptions) {
    const { channels, name } = options;
    this.disposables = [
      channels.onClosed((channelId) => this.onClosed(channelId)),
      channels.onRemoved((channelIds) => this.onRemoved(channelIds)),
      channels.onRelay(`${name}:subscribe`, (channelId, payload) => this.onSubscribe(channelId, payload)),
      channels.onRelay(`${name}:unsubscribe`, (channelId, payload) => this.onUnsubscribe(channelId, payload)),
    ];
  }

  subscribe(topic: string, channelId: string, since: Position | undefined): Promise<Attached> {
    return this.turns.onTopic(channelId, topic, () => this.subscribeNow(topic, channelId, since));
  }

  unsubscribe(topic: string, channelId: string): Promise<boolean> {
    return this.turns.onTopic(channelId, topic, async () => {
      const { members, store, channels } = this.options;
      members.remove(topic, channelId);
      const was = await store.unsubscribe(topic, channelId);
      if (channels.get(channelId) === undefined) await this.relay(channelId, 'unsubscribe', { topic });
      return was;
    });
  }

  unsubscribeAll(channelId: string): Promise<void> {
    return this.turns.onChannel(channelId, async () => {
      const { members, store, channels } = this.options;
      members.removeChannel(channelId);
      await store.unsubscribeAll(channelId);
      if (channels.get(channelId) === undefined) await this.relay(channelId, 'unsubscribe', {});
    });
  }

  /**
   * Makes the members of this instance what the store says they are. A lost relay is healed by it. One call at a time
   * is under way; a call meanwhile leads to one more.
   */
  resync(): Promise<void> {
    if (this.resyncing !== undefined) {
      this.resyncAgain = true;
      return this.resyncing;
    }
    this.resyncing = this.runResync().finally(() => {
      this.resyncing = undefined;
    });
    return this.resyncing;
  }

  async close(): Promise<void> {
    this.isClosed = true;
    for (const disposable of this.disposables.splice(0)) disposable[Symbol.dispose]();
    await this.turns.idle();
    await this.resyncing;
    this.options.members.clear();
  }

  private async subscribeNow(
    topic: string,
    channelId: string,
    since: Position | undefined,
  ): Promise<Attached> {
    const { store, channels, backplane, members } = this.options;
    const isLocal = channels.get(channelId) !== undefined;
    if (isLocal) {
      try {
        return await attach(this.options, topic, channelId, since ?? 'head', () =>
          store.subscribe(topic, channelId),
        );
      } catch (error) {
        // It may have been written down nevertheless, and nobody would take it away.
        if (members.get(topic, channelId) === undefined) {
          await this.tidy(() => store.unsubscribe(topic, channelId));
        }
        throw error;
      }
    }
    if (!(await store.subscribe(topic, channelId))) throw new ChannelNotFoundError(channelId);
    const request: JsonObject = since === undefined ? { topic } : { topic, since: { ...since } };
    const reached = await this.relay(channelId, 'subscribe', request);
    if (reached === 'gone') {
      await this.tidy(() => store.unsubscribe(topic, channelId));
      throw new ChannelNotFoundError(channelId);
    }
    return { recovered: false, missed: [], position: await backplane.head(topic) };
  }

  /** A relay that fails is no failure of the call: what it would have done is done by the next resync. */
  private async relay(
    channelId: string,
    what: 'subscribe' | 'unsubscribe',
    payload: JsonObject,
  ): Promise<'sent' | 'gone'> {
    const { channels, name, logger } = this.options;
    try {
      return (await channels.relay(channelId, `${name}:${what}`, payload)) === 'gone' ? 'gone' : 'sent';
    } catch (error) {
      logger.warn(
        `The instance of channel "${channelId}" was not told to ${what}: ${messageOf(error)}. It finds out by itself within the resync interval.`,
      );
      return 'sent';
    }
  }

  private async onSubscribe(channelId: string, payload: JsonValue): Promise<void> {
    const request = readRequest(payload);
    if (request?.topic === undefined || this.isClosed) return;
    const { topic, since } = request;
    await this.turns
      .onTopic(channelId, topic, async () => {
        if (this.options.channels.get(channelId) === undefined) return;
        await attach(this.options, topic, channelId, since ?? 'head', recorded);
      })
      .catch((error: unknown) => this.report(`subscribe channel "${channelId}" to topic "${topic}"`, error));
  }

  private async onUnsubscribe(channelId: string, payload: JsonValue): Promise<void> {
    const request = readRequest(payload);
    if (request === undefined) return;
    const { topic } = request;
    const { members } = this.options;
    if (topic === undefined) {
      await this.turns.onChannel(channelId, async () => members.removeChannel(channelId));
    } else {
      await this.turns.onTopic(channelId, topic, async () => members.remove(topic, channelId));
    }
  }

  private onClosed(channelId: string): void {
    const { members, cascades, store } = this.options;
    members.removeChannel(channelId);
    if (!cascades) {
      void this.turns.onChannel(channelId, () => this.tidy(() => store.unsubscribeAll(channelId)));
    }
  }

  private async onRemoved(channelIds: readonly string[]): Promise<void> {
    const { cascades, store } = this.options;
    for (const channelId of cascades ? [] : channelIds) {
      await this.turns.onChannel(channelId, () => this.tidy(() => store.unsubscribeAll(channelId)));
    }
  }

  private async runResync(): Promise<void> {
    do {
      this.resyncAgain = false;
      try {
        await this.compareAll();
      } catch (error) {
        this.report('compare the subscriptions of this instance with the store', error);
      }
    } while (this.resyncAgain && !this.isClosed);
  }

  private async compareAll(): Promise<void> {
    const { channels, members, store } = this.options;
    const ids = [...new Set([...channels.localIds(), ...members.channelIds()])];
    for (let i = 0; i < ids.length && !this.isClosed; i += RESYNC_BATCH) {
      const batch = ids.slice(i, i + RESYNC_BATCH);
      const { touched, stop } = this.turns.watch();
      const stored = await store.getTopicsForChannels(batch).finally(stop);
      for (const channelId of batch) {
        // What somebody changed meanwhile is newer than what was read.
        if (!touched.has(channelId)) this.correct(channelId, new Set(stored.get(channelId)));
      }
    }
  }

  private correct(channelId: string, topics: ReadonlySet<string>): void {
    const { channels, members } = this.options;
    const isLocal = channels.get(channelId) !== undefined;
    for (const topic of members.topicsOf(channelId)) {
      if (!isLocal || !topics.has(topic)) members.remove(topic, channelId);
    }
    for (const topic of isLocal ? topics : []) {
      if (members.get(topic, channelId) !== undefined) continue;
      this.turns
        .onTopic(channelId, topic, async () => {
          if (channels.get(channelId) === undefined) return;
          await attach(this.options, topic, channelId, 'next', recorded);
        })
        .catch((error: unknown) =>
          this.report(`subscribe channel "${channelId}" to topic "${topic}"`, error),
        );
    }
  }

  private async tidy(fn: () => Promise<unknown>): Promise<void> {
    try {
      await fn();
    } catch (error) {
      this.report('remove the subscriptions of a channel that is gone', error);
    }
  }

  private report(what: string, error: unknown): void {
    if (!this.isClosed) this.options.logger.warn(`Failed to ${what}: ${messageOf(error)}`);
  }
}

function recorded(): Promise<boolean> {
  return Promise.resolve(true);
}

/** Other instances may be of another release, so nothing about a request is taken for granted. */
function readRequest(payload: JsonValue): { topic?: string; since?: Position } | undefined {
  if (typeof payload !== 'object' || payload === null || Array.isArray(payload)) return undefined;
  const { topic, since } = payload;
  if (topic === undefined) return {};
  if (typeof topic !== 'string') return undefined;
  if (typeof since !== 'object' || since === null || Array.isArray(since)) return { topic };
  const { epoch, offset } = since;
  return typeof epoch === 'string' && typeof offset === 'number'
    ? { topic, since: { epoch, offset } }
    : { topic };
}
