import { type Backplane, type BackplaneMessage, type Position } from '@nestbox/channels';
import {
  InvalidArgumentError,
  Lifecycle,
  UnsupportedOperationError,
  assertName,
  messageOf,
  parseDuration,
  type JsonObject,
} from '@nestbox/core';
import { Logger, type MessageEvent } from '@nestjs/common';
import type { Observable } from 'rxjs';
import type { EventHubServiceOptions } from './event-hub.options.js';
import type { DataOf, EventHubStore, TopicOf } from './event-hub.store.js';
import type {
  HistoryQuery,
  HubHandler,
  PresentChannel,
  PublishOptions,
  PublishResult,
  SubscribeOptions,
  SubscribeResult,
  TopicPattern,
} from './event-hub.types.js';
import { framesOf, gapFrame } from './service/frames.js';
import type { AnyHandler } from './service/handler-lanes.js';
import type { HubChannels } from './service/hub-channels.js';
import { hubMessageOf, type HubMessage } from './service/hub-message.js';
import { LocalMembers } from './service/local-members.js';
import { Publisher } from './service/publisher.js';
import { Subscriptions } from './service/subscriptions.js';
import { TopicHandlers, type HubListener } from './service/topic-handlers.js';
import { parseTopicPattern } from './service/topic-pattern.js';
import { TopicRules } from './service/topic-rules.js';
import { canOpen, sseStream, type SseStreamOptions, type SubscribingHub } from './sse/sse-stream.js';

const DEFAULT_MAX_PAYLOAD = 1024 * 1024;
/** Channels that are looked up in the store by one query. */
const PRESENCE_BATCH = 1000;

/** How busy a hub is on this instance. */
export interface HubFigures {
  /** Topics that channels of this instance are subscribed to. */
  topics: number;
  /** Subscriptions of this instance's channels. */
  members: number;
  /** Handlers in this process. */
  handlers: number;
}

/**
 * Topics that reach every subscribed channel, on whichever instance it is. It knows nothing of Nest; the module opens
 * and closes it. Without a module, the first use opens it.
 */
export class EventHubService<Topics extends object = Record<string, unknown>> {
  readonly store: EventHubStore;
  readonly backplane: Backplane;
  /** The most bytes of a message's data. */
  readonly maxPayload: number;
  /** The channels that it serves. */
  readonly channels: HubChannels;
  private readonly logger = new Logger('EventHub');
  private readonly lifecycle: Lifecycle;
  private readonly members: LocalMembers;
  private readonly handlers: TopicHandlers;
  private readonly subscriptions: Subscriptions;
  private readonly publisher: Publisher;
  private readonly resyncMs: number;
  private readonly closeStore: boolean;
  private timer: NodeJS.Timeout | undefined;

  /** @throws InvalidArgumentError */
  constructor(options: EventHubServiceOptions) {
    const { store, backplane, channels, maxPayload = DEFAULT_MAX_PAYLOAD, resyncInterval = '60s' } = options;
    if (!Number.isSafeInteger(maxPayload) || maxPayload < 1) {
      throw new InvalidArgumentError('maxPayload', 'must be a whole number of bytes of at least 1.');
    }
    this.resyncMs = Math.min(parseDuration(resyncInterval, 'resyncInterval'), 2 ** 31 - 1);
    const rules = new TopicRules(options.topics);
    this.store = store;
    this.backplane = backplane;
    this.channels = channels;
    this.maxPayload = maxPayload;
    this.closeStore = options.closeStore ?? true;
    this.members = new LocalMembers(backplane, (channelId, frame) => channels.deliver(channelId, frame));
    this.handlers = new TopicHandlers(backplane, this.logger);
    const { nodeId } = channels;
    const { members, handlers, logger } = this;
    const { transactions, cascades = false, name = 'hub' } = options;
    this.publisher = new Publisher({
      backplane,
      members,
      handlers,
      rules,
      nodeId,
      maxPayload,
      transactions,
    });
    this.subscriptions = new Subscriptions({
      name,
      backplane,
      members,
      store,
      channels,
      cascades,
      logger,
      transactions: transactions ?? backplane.transactions,
      ready: () => this.lifecycle.ready(),
    });
    this.lifecycle = new Lifecycle(
      'The event hub',
      () => this.open(),
      () => this.shut(),
    );
  }

  get figures(): HubFigures {
    const { members, handlers } = this;
    return { topics: members.topicCount, members: members.count, handlers: handlers.count };
  }

  /** Opens the store and the backplane. May be called twice; the first use calls it. @throws what these throw */
  async init(): Promise<void> {
    await this.lifecycle.ready();
  }

  /** Ends all subscriptions of this object, and closes the store and the backplane. May be called twice. */
  close(): Promise<void> {
    return this.lifecycle.close();
  }

  /** Gives handlers nothing more, and waits for those that run. @returns whether all ended in time */
  drain(timeoutMs = 10_000): Promise<boolean> {
    return this.handlers.drain(timeoutMs);
  }

  /**
   * Sends data to all channels that are subscribed to a topic, and to its handlers, on all instances. Channels of this
   * instance get it before this returns, in the order of the calls; where the topic has a history, all instances deliver
   * in the order of the history.
   *
   * Inside an ambient transaction it goes out after the commit, and not at all after a rollback.
   *
   * @throws InvalidArgumentError for the topic, for data that is no JSON or not what the topic's schema asks for;
   *   PayloadTooLargeError; BackplaneError when other instances could not be reached
   */
  async publish<const Topic extends TopicOf<Topics>>(
    topic: Topic,
    data: DataOf<Topics, Topic>,
    options: PublishOptions = {},
  ): Promise<PublishResult> {
    assertName(topic, 'topic');
    return this.publisher.publish(topic, data, options, this.lifecycle.ready());
  }

  /**
   * Subscribes a channel, wherever it is: it gets all that anybody publishes once this has resolved. One that is
   * subscribed already stays so, and gets nothing twice.
   *
   * With `since` a channel of this instance gets what it missed, in order, before anything newer. A channel of another
   * instance gets it as well, but this one cannot tell what: `recovered` is false then.
   *
   * Inside an ambient transaction a channel of another instance is subscribed after the commit, before the transaction
   * resolves; `position` is absent then.
   *
   * @throws ChannelNotFoundError, also when the lease of the instance that holds it has ended; InvalidArgumentError;
   *   EventHubOperationError; BackplaneError, also when that instance has not confirmed for as long as a lease; ClosedError
   */
  async subscribe<const Topic extends TopicOf<Topics>>(
    topic: Topic,
    channelId: string,
    { since }: SubscribeOptions = {},
  ): Promise<SubscribeResult<DataOf<Topics, Topic>>> {
    assertName(topic, 'topic');
    assertName(channelId, 'channelId');
    const from = since === undefined ? undefined : readPosition(since, 'options.since');
    await this.lifecycle.ready();
    const { recovered, missed, position } = await this.subscriptions.subscribe(topic, channelId, from);
    return { recovered, missed: missed.map((message) => hubMessageOf(message)), position };
  }

  /** @returns false when it was not subscribed */
  async unsubscribe(topic: TopicOf<Topics>, channelId: string): Promise<boolean> {
    assertName(topic, 'topic');
    assertName(channelId, 'channelId');
    await this.lifecycle.ready();
    return this.subscriptions.unsubscribe(topic, channelId);
  }

  /** Ends all subscriptions of a channel. An unknown one is no error. */
  async unsubscribeAll(channelId: string): Promise<void> {
    assertName(channelId, 'channelId');
    await this.lifecycle.ready();
    await this.subscriptions.unsubscribeAll(channelId);
  }

  /** Messages of a topic that are kept, oldest first; none where it has no history. @throws BackplaneError */
  async history<const Topic extends TopicOf<Topics>>(
    topic: Topic,
    { since, limit = 100 }: HistoryQuery = {},
  ): Promise<HubMessage<DataOf<Topics, Topic>>[]> {
    assertName(topic, 'topic');
    const from = since === undefined ? undefined : readPosition(since, 'options.since');
    if (!Number.isInteger(limit) || limit < 1 || limit > 1000) {
      throw new InvalidArgumentError('options.limit', 'must be a whole number of 1 to 1,000.');
    }
    await this.lifecycle.ready();
    const page = await this.backplane.history(topic, { since: from, limit });
    return (page?.messages ?? []).map((message) => hubMessageOf(message));
  }

  /** The channels that are subscribed to a topic, of all instances. */
  async presence<Session extends JsonObject = JsonObject>(
    topic: TopicOf<Topics>,
  ): Promise<PresentChannel<Session>[]> {
    assertName(topic, 'topic');
    await this.lifecycle.ready();
    const ids = await this.store.getChannelIdsForTopic(topic);
    const present: PresentChannel<Session>[] = [];
    for (let i = 0; i < ids.length; i += PRESENCE_BATCH) {
      const found = await this.channels.store.getChannels(ids.slice(i, i + PRESENCE_BATCH));
      for (const { channelId, channelName, session } of found.values()) {
        present.push({ channelId, channelName, session: session as Session | null });
      }
    }
    return present;
  }

  /** How many channels are subscribed to a topic, of all instances. */
  async presenceCount(topic: TopicOf<Topics>): Promise<number> {
    assertName(topic, 'topic');
    await this.lifecycle.ready();
    return this.store.countForTopic(topic);
  }

  /**
   * Calls a handler in this process for what any instance publishes to a topic, or to all that match a pattern:
   * `orders.*` for one more segment, `orders.**` for any number of them.
   *
   * Messages of a topic are given to it one after the other, those of different topics side by side. Up to 1,000 of a
   * topic wait for it; more are dropped, and it is logged. What it throws is logged, and ends nothing.
   *
   * @returns dispose of it to listen no more; await `ready` to be sure that other instances' messages come
   * @throws InvalidArgumentError; ClosedError
   */
  on<const Pattern extends TopicPattern<Topics>>(
    topicOrPattern: Pattern,
    handler: HubHandler<Topics, Pattern>,
  ): HubListener {
    const matcher = parseTopicPattern(topicOrPattern, 'topicOrPattern');
    if (typeof handler !== 'function') throw new InvalidArgumentError('handler', 'must be a function.');
    return this.handlers.add(matcher, handler as AnyHandler, this.lifecycle.ready());
  }

  /**
   * A topic as server-sent events, for a method with `@Sse()`; see {@link sseStream}.
   *
   * @throws InvalidArgumentError; UnsupportedOperationError when the hub's channels are none of a ChannelService
   */
  stream(topic: TopicOf<Topics>, options: SseStreamOptions = {}): Observable<MessageEvent> {
    const { channels } = this;
    if (!canOpen(channels)) {
      throw new UnsupportedOperationError('stream', 'this hub', 'Give it a ChannelService as its channels.');
    }
    const hub: SubscribingHub = {
      subscribe: (to, channelId, since) => this.subscribe(to as TopicOf<Topics>, channelId, since),
    };
    return sseStream(channels, hub, topic, options);
  }

  private async open(): Promise<void> {
    await this.store.init();
    await this.backplane.open(this.channels.nodeId, {
      onMessage: (message) => this.receive(message),
      onGap: (topic, head) => this.receiveGap(topic, head),
      onRecovered: () => this.heal(),
    });
    await this.handlers.rejoin().catch((error: unknown) => this.warn('join the topics of handlers', error));
    this.timer = setInterval(() => this.heal(), this.resyncMs).unref();
  }

  private async shut(): Promise<void> {
    clearInterval(this.timer);
    this.handlers.close();
    await this.subscriptions.close();
    if (!this.closeStore) return;
    const closed = await Promise.allSettled([this.backplane.close(), this.store.close()]);
    for (const outcome of closed) if (outcome.status === 'rejected') throw outcome.reason;
  }

  private receive(message: BackplaneMessage): void {
    const { topic, except, position } = message;
    if (this.members.has(topic)) this.members.send(topic, framesOf(message), except, position);
    this.handlers.dispatch(message);
  }

  private receiveGap(topic: string, head: Position): void {
    this.logger.warn(
      `Messages of topic "${topic}" before offset ${head.offset} were lost: its history was too short.`,
    );
    if (this.members.has(topic)) this.members.sendGap(topic, gapFrame(topic, head), head);
  }

  private heal(): void {
    if (this.lifecycle.isClosed) return;
    void this.subscriptions.resync();
    this.handlers.rejoin().catch((error: unknown) => this.warn('join the topics of handlers', error));
  }

  private warn(what: string, error: unknown): void {
    this.logger.warn(`Failed to ${what}: ${messageOf(error)}`);
  }
}

function readPosition(position: Position, path: string): Position {
  const { epoch, offset } = (position ?? {}) as Partial<Position>;
  assertName(epoch, `${path}.epoch`);
  if (!Number.isSafeInteger(offset) || offset! < 0) {
    throw new InvalidArgumentError(`${path}.offset`, 'must be a whole number of at least 0.');
  }
  return { epoch, offset: offset! };
}
