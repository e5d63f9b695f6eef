import { ChannelNotFoundError, type AmbientTransactions, type Position } from '@nestbox/channels';
import { InvalidArgumentError, messageOf, type JsonObject, type JsonValue } from '@nestbox/core';
import type { Logger } from '@nestjs/common';
import type { EventHubStore } from '../event-hub.store.js';
import { attach, type AttachContext, type Attached } from './attach.js';
import { ChannelTurns } from './channel-turns.js';
import type { HubChannels } from './hub-channels.js';
import { RemoteMembers } from './remote-members.js';
import { answerOf, readRequest } from './subscribe-request.js';

/** Channels whose subscriptions are compared with the store by one query. */
const RESYNC_BATCH = 500;

export interface SubscriptionsOptions extends AttachContext {
  name: string;
  store: EventHubStore;
  channels: HubChannels;
  /** Whether the store ends the subscriptions of removed channels by itself. */
  cascades: boolean;
  logger: Logger;
  /** A database whose ambient transactions subscriptions may be a part of. */
  transactions: AmbientTransactions | undefined;
  /** Opens the hub, where it is not open. */
  ready: () => Promise<void> | undefined;
}

/** Brings the store, and the members of whichever instance holds a channel, to what was asked for. */
export class Subscriptions {
  private readonly turns = new ChannelTurns();
  private readonly disposables: Disposable[];
  private readonly remote: RemoteMembers;
  private resyncing: Promise<void> | undefined;
  private resyncAgain = false;
  private isClosed = false;

  constructor(private readonly options: SubscriptionsOptions) {
    const { channels, name } = options;
    this.remote = new RemoteMembers(channels, `${name}:subscribe`);
    this.disposables = [
      channels.onClosed((channelId, isReplaced) => this.onClosed(channelId, isReplaced)),
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
      if (channels.get(channelId) === undefined) await this.relay(channelId, { topic });
      return was;
    });
  }

  unsubscribeAll(channelId: string): Promise<void> {
    return this.turns.onChannel(channelId, async () => {
      const { members, store, channels } = this.options;
      members.removeChannel(channelId);
      await store.unsubscribeAll(channelId);
      if (channels.get(channelId) === undefined) await this.relay(channelId, {});
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
    this.remote.close();
    await this.turns.idle();
    await this.resyncing;
    this.options.members.clear();
  }

  private async subscribeNow(
    topic: string,
    channelId: string,
    since: Position | undefined,
  ): Promise<Attached> {
    for (;;) {
      if (this.options.channels.get(channelId) !== undefined) {
        return this.subscribeHere(topic, channelId, since);
      }
      const attached = await this.subscribeThere(topic, channelId, since);
      if (attached !== undefined) return attached;
    }
  }

  private async subscribeHere(
    topic: string,
    channelId: string,
    since: Position | undefined,
  ): Promise<Attached> {
    const { store, members } = this.options;
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

  /** @returns undefined when the channel has come to this instance meanwhile */
  private async subscribeThere(
    topic: string,
    channelId: string,
    since: Position | undefined,
  ): Promise<Attached | undefined> {
    const { store, channels, transactions } = this.options;
    if (!(await store.subscribe(topic, channelId))) throw new ChannelNotFoundError(channelId);
    const transaction = channels.currentTransaction ?? transactions?.currentTransaction;
    try {
      if (transaction === undefined) return await this.remote.add(topic, channelId, since);
      const found = await channels.store.getChannels([channelId]);
      if (!found.has(channelId)) throw new ChannelNotFoundError(channelId);
    } catch (error) {
      // Only then: after another failure it may be one that was there before.
      if (error instanceof ChannelNotFoundError) await this.tidy(() => store.unsubscribe(topic, channelId));
      throw error;
    }
    // Nobody may wait for another instance and hold a connection; before the commit it is not to be told anyway.
    transaction.afterCommit(() => this.subscribeAfterCommit(topic, channelId, since));
    // Where the history stands by then, nobody knows yet.
    return { recovered: false, missed: [], position: undefined };
  }

  private async subscribeAfterCommit(
    topic: string,
    channelId: string,
    since: Position | undefined,
  ): Promise<void> {
    const { store } = this.options;
    try {
      await this.turns.onTopic(channelId, topic, async () => {
        const attached = await this.remote.add(topic, channelId, since);
        // It has come to this instance meanwhile. What is written down may be another thing by now, and stays.
        if (attached === undefined) await attach(this.options, topic, channelId, since ?? 'head', recorded);
      });
    } catch (error) {
      // Only a failure is of interest to anybody: not that the channel, or the hub, has ended since.
      if (error instanceof ChannelNotFoundError) await this.tidy(() => store.unsubscribe(topic, channelId));
      else if (!this.isClosed) throw error;
    }
  }

  /** A relay that fails is no failure of the call: what it would have done is done by the next resync. */
  private async relay(channelId: string, payload: JsonObject): Promise<void> {
    const { channels, name, logger } = this.options;
    try {
      await channels.relay(channelId, `${name}:unsubscribe`, payload);
    } catch (error) {
      logger.warn(
        `The instance of channel "${channelId}" was not told to unsubscribe: ${messageOf(error)}. It finds out by itself within the resync interval.`,
      );
    }
  }

  /** @returns what `readAnswer` reads */
  private async onSubscribe(channelId: string, payload: JsonValue): Promise<JsonValue> {
    const request = readRequest(payload);
    if (request?.topic === undefined) throw new InvalidArgumentError('payload', 'names no topic.');
    const { topic, since } = request;
    await this.options.ready();
    return this.turns.onTopic(channelId, topic, async () => {
      if (this.options.channels.get(channelId) === undefined) return null;
      try {
        const { position } = await attach(this.options, topic, channelId, since ?? 'head', recorded);
        return answerOf(position);
      } catch (error) {
        if (error instanceof ChannelNotFoundError) return null;
        throw error;
      }
    });
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

  private onClosed(channelId: string, isReplaced: boolean): void {
    const { members, cascades } = this.options;
    members.removeChannel(channelId);
    if (!cascades && !isReplaced) void this.forget(channelId);
  }

  private async onRemoved(channelIds: readonly string[]): Promise<void> {
    for (const channelId of this.options.cascades ? [] : channelIds) await this.forget(channelId);
  }

  /** Ends the subscriptions of a channel that is gone, unless it has come back meanwhile. */
  private forget(channelId: string): Promise<void> {
    const { channels, store } = this.options;
    return this.turns.onChannel(channelId, () =>
      this.tidy(async () => {
        const owner = (await channels.store.locate([channelId])).get(channelId);
        const isOver =
          owner === undefined || (owner === channels.nodeId && channels.get(channelId) === undefined);
        if (isOver) await store.unsubscribeAll(channelId);
      }),
    );
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
