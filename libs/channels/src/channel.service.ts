import { randomUUID } from 'node:crypto';
import {
  ClosedError,
  InvalidArgumentError,
  KeyedMutex,
  Lifecycle,
  assertJson,
  assertName,
  messageOf,
  parseDuration,
  runInRootScope,
  type JsonObject,
  type JsonValue,
} from '@nestbox/core';
import { Logger } from '@nestjs/common';
import type { Backplane } from './backplane/backplane.js';
import type {
  ChannelFigures,
  ChannelServiceOptions,
  OpenChannel,
  SendOptions,
  Whereabouts,
} from './channel.service.types.js';
import type { ChannelStore } from './channel.store.js';
import type { Frame } from './channel.transport.js';
import { keepAlive } from './service/keep-alive.js';
import { frameOf } from './service/frame-of.js';
import { Listeners } from './service/listeners.js';
import { LocalChannel, type ChannelOwner } from './service/local-channel.js';
import { NodeBus, type NodeOrder } from './service/node-bus.js';
import { NodeLease } from './service/node-lease.js';
import { Orders, type RelayHandler } from './service/orders.js';
import { Removals } from './service/removals.js';
import { Routes } from './service/routes.js';

const DEFAULT_MAX_PAYLOAD = 1024 * 1024;

/**
 * The connections of this instance, and the way to those of others. It knows nothing of Nest; the module opens and
 * closes it. Without a module, the first use opens it.
 */
export class ChannelService<
  Opening extends JsonObject = JsonObject,
  Session extends JsonObject = JsonObject,
> {
  /** Names this instance among the others; a new one with each start. */
  readonly nodeId = randomUUID();
  readonly store: ChannelStore;
  readonly backplane: Backplane;
  /** The most bytes of a message. */
  readonly maxPayload: number;

  private readonly logger = new Logger('Channels');
  private readonly local = new Map<string, LocalChannel<Opening, Session>>();
  /** Openings of one id, one after the other. */
  private readonly turns = new KeyedMutex();
  private readonly closedListeners = new Listeners<[string]>('closed channels', this.logger);
  private readonly removedListeners = new Listeners<[readonly string[]]>('removed channels', this.logger);
  private readonly recoveredListeners = new Listeners<[]>('a recovered link', this.logger);
  private readonly orders = new Orders(
    this.local,
    (channelId) => void this.closedListeners.call(channelId),
    this.logger,
  );
  private readonly bus: NodeBus;
  private readonly routes: Routes;
  private readonly lease: NodeLease;
  private readonly removals: Removals;
  private readonly lifecycle: Lifecycle;
  private readonly owner: ChannelOwner<Session>;
  private touching: NodeJS.Timeout | undefined;
  private isDraining = false;
  /** How often the lease was lost. */
  private losses = 0;

  /** @throws InvalidArgumentError */
  constructor(private readonly options: ChannelServiceOptions) {
    const { store, backplane, lease = '15s', maxPayload = DEFAULT_MAX_PAYLOAD } = options;
    if (!Number.isSafeInteger(maxPayload) || maxPayload < 1) {
      throw new InvalidArgumentError('maxPayload', 'must be a whole number of bytes of at least 1.');
    }
    const { nodeId, logger } = this;
    this.store = store;
    this.backplane = backplane;
    this.maxPayload = maxPayload;
    this.removals = new Removals(store, nodeId, logger);
    this.bus = new NodeBus(
      backplane,
      nodeId,
      logger,
      (order, body) => this.orders.obey(order, body),
      () => void this.recoveredListeners.call(),
    );
    this.routes = new Routes({
      store,
      nodeId,
      bus: this.bus,
      isLocal: (channelId) => this.local.has(channelId),
      transactions: options.transactions,
    });
    this.lease = new NodeLease({
      store,
      nodeId,
      leaseMs: parseDuration(lease, 'lease'),
      logger,
      onLost: () => this.lose(),
      onReaped: (channelIds) => this.removedListeners.call(channelIds),
    });
    this.owner = {
      frameOf: (channelId, data, binary) => frameOf(`channel "${channelId}"`, data, binary, maxPayload),
      setSession: (channelId, session) => this.setSession(channelId, session),
      onTransportError: (channelId, error) =>
        this.logger.warn(`The transport of channel "${channelId}" failed: ${messageOf(error)}`),
      onEnd: (channel) => this.ended(channel),
    };
    this.lifecycle = new Lifecycle(
      'ChannelService',
      () => this.start(),
      () => this.shut(),
    );
  }

  /** How many channels this instance holds. */
  get localCount(): number {
    return this.local.size;
  }

  get figures(): ChannelFigures {
    const { ageMs, isOverdue } = this.lease;
    return {
      channels: this.local.size,
      backplane: this.backplane.state,
      lease: { ageMs: Math.round(ageMs), isOverdue },
    };
  }

  /** Opens the store and the backplane, and registers this instance. May be called twice. @throws what these throw */
  async init(): Promise<void> {
    await this.lifecycle.ready();
  }

  /** From now on `open` throws a ClosedError. */
  stopOpening(): void {
    this.isDraining = true;
  }

  /** Ends all connections with 1001, and removes their channels. */
  async drain(): Promise<void> {
    this.stopOpening();
    for (const channel of Array.from(this.local.values())) channel.close(1001, 'going away');
    await this.removals.flush();
  }

  /** Drains, unregisters this instance, and closes the store and the backplane. May be called twice. */
  close(): Promise<void> {
    this.stopOpening();
    return this.lifecycle.close();
  }

  /**
   * Takes in a connection. Every instance finds the channel when this resolves.
   *
   * The same id again: the older connection is closed with 4000, on whichever instance it is, and the session stays.
   *
   * @throws InvalidArgumentError; ChannelOperationError; ClosedError while the application shuts down
   */
  async open(given: OpenChannel<Opening, Session>): Promise<LocalChannel<Opening, Session>> {
    const { channelId = randomUUID(), channelName, openingData = {} as Opening, session, transport } = given;
    assertName(channelId, 'channelId');
    if (typeof transport?.send !== 'function' || typeof transport.close !== 'function') {
      throw new InvalidArgumentError('transport', 'must have the methods send and close.');
    }
    if (this.isDraining) throw new ClosedError('ChannelService');
    // Its life is not that of the caller's transaction.
    return runInRootScope(() =>
      this.turns.run(channelId, async () => {
        await this.lifecycle.ready();
        const isKnown = given.channelId !== undefined;
        const before = isKnown ? await this.replace(channelId) : null;
        await this.removals.settled(channelId);
        const { nodeId, store, losses } = this;
        await store.addChannel({ channelId, channelName, openingData, nodeId });
        if (session !== undefined) await store.setUserSession(channelId, session);
        const current = session === undefined ? before : session;
        const channel = new LocalChannel(channelId, channelName, openingData, current, transport, this.owner);
        this.local.set(channelId, channel);
        // Drained meanwhile: it must not be the one that stays.
        if (this.isDraining) channel.close(1001, 'going away');
        // So was what this instance had added, and nobody would find it.
        else if (losses !== this.losses) channel.close(1012, 'lease lost');
        return channel;
      }),
    );
  }

  /** A channel that this instance holds. */
  get(channelId: string): LocalChannel<Opening, Session> | undefined {
    return this.local.get(channelId);
  }

  /** The channels that this instance holds. */
  localIds(): IterableIterator<string> {
    return this.local.keys();
  }

  /**
   * Sends JSON as a text frame, or with `binary` bytes, wherever the channel is. Inside an ambient transaction it
   * leaves after the commit, and not at all after a rollback.
   *
   * @returns where it was sent to. `remote`: it was handed to the other instance
   * @throws InvalidArgumentError; PayloadTooLargeError; ChannelOperationError; BackplaneError
   */
  async send(
    channelId: string,
    data: JsonValue | Uint8Array,
    { binary = false }: SendOptions = {},
  ): Promise<Whereabouts> {
    assertName(channelId, 'channelId');
    const frame = frameOf(`channel "${channelId}"`, data, binary, this.maxPayload);
    await this.lifecycle.ready();
    const order: NodeOrder = { do: 'send', ids: [channelId], binary };
    return this.routes.reach(channelId, () => this.deliver(channelId, frame), order, frame.data);
  }

  /** As {@link send}, to all channels whose session belongs to a user. @returns to how many */
  async sendToUser(
    userId: string,
    data: JsonValue | Uint8Array,
    { binary = false }: SendOptions = {},
  ): Promise<number> {
    assertName(userId, 'userId');
    const frame = frameOf(`user "${userId}"`, data, binary, this.maxPayload);
    await this.lifecycle.ready();
    const { here, elsewhere } = await this.routes.ofUser(userId);
    let count = here.length;
    await this.routes.afterCommit(async () => {
      count = here.filter((id) => this.deliver(id, frame)).length;
      const posts = Array.from(elsewhere, ([nodeId, ids]) =>
        this.bus.post(nodeId, { do: 'send', ids, binary }, frame.data),
      );
      await Promise.all(posts);
    });
    for (const ids of elsewhere.values()) count += ids.length;
    return count;
  }

  /** @throws ChannelNotFoundError; InvalidArgumentError; ChannelOperationError */
  async setSession(channelId: string, session: Session | null): Promise<void> {
    await this.lifecycle.ready();
    await this.store.setUserSession(channelId, session);
    const channel = this.local.get(channelId);
    if (channel !== undefined) channel.session = session;
  }

  /**
   * Ends a connection wherever it is, and removes its channel; one that nobody holds is removed, too.
   *
   * @param options.code of RFC 6455. Default: 1000
   */
  async disconnect(
    channelId: string,
    { code = 1000, reason = '' }: { code?: number; reason?: string } = {},
  ): Promise<Whereabouts> {
    assertName(channelId, 'channelId');
    await this.lifecycle.ready();
    const order: NodeOrder = { do: 'close', ids: [channelId], code, reason };
    const where = await this.routes.reach(channelId, () => this.orders.carryOut(channelId, order), order);
    if (where === 'gone') await this.store.removeChannels([channelId]);
    return where;
  }

  /** Hands a frame to a channel of this instance. Never throws. @returns false when it takes nothing any more */
  deliver(channelId: string, frame: Frame): boolean {
    return this.local.get(channelId)?.deliver(frame) ?? false;
  }

  /** Tells the instance that holds a channel; its handler of that kind gets the payload. At most once. */
  async relay(channelId: string, kind: string, payload: JsonValue): Promise<Whereabouts> {
    assertName(channelId, 'channelId');
    assertJson(payload, 'payload');
    await this.lifecycle.ready();
    const order: NodeOrder = { do: 'relay', ids: [channelId], kind, payload };
    return this.routes.reach(channelId, () => this.orders.carryOut(channelId, order), order);
  }

  /** @throws InvalidArgumentError when there is a handler of that kind already */
  onRelay(kind: string, handler: RelayHandler): Disposable {
    return this.orders.onRelay(kind, handler);
  }

  /** Called when a channel of this instance has ended. */
  onClosed(listener: (channelId: string) => void): Disposable {
    return this.closedListeners.add(listener);
  }

  /** Called when this instance has removed the channels of one that died. */
  onRemoved(listener: (channelIds: readonly string[]) => void | Promise<void>): Disposable {
    return this.removedListeners.add(listener);
  }

  /** Called when the link to other instances is back; what they sent meanwhile is lost. */
  onRecovered(listener: () => void): Disposable {
    return this.recoveredListeners.add(listener);
  }

  private async start(): Promise<void> {
    await this.store.init();
    await this.bus.open();
    await this.lease.start();
    this.touching = keepAlive(this.store, () => [...this.local.keys()], this.logger);
  }

  private async shut(): Promise<void> {
    clearInterval(this.touching);
    await this.drain();
    await this.lease.close();
    if (this.options.closeStore === false) return;
    const outcomes = await Promise.allSettled([this.backplane.close(), this.store.close()]);
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
  }

  /** Ends the connection that a channel has had so far, wherever it is. @returns the session that it has */
  private async replace(channelId: string): Promise<Session | null> {
    const order: NodeOrder = { do: 'replace', ids: [channelId] };
    if (this.local.has(channelId)) {
      this.orders.carryOut(channelId, order);
    } else {
      const owner = await this.routes.ownerOf(channelId);
      if (owner !== undefined) await this.bus.post(owner, order);
    }
    const found = (await this.store.getChannels([channelId])).get(channelId);
    return (found?.session ?? null) as Session | null;
  }

  private ended(channel: LocalChannel<JsonObject, Session>): void {
    if (this.local.get(channel.id) !== channel) return;
    this.local.delete(channel.id);
    this.removals.add(channel.id);
    void this.closedListeners.call(channel.id);
  }

  /** Others have removed what this instance held, so whoever is connected has to come back. */
  private lose(): void {
    this.losses++;
    this.logger.warn(`The lease of this instance was lost; ${this.local.size} connections are closed.`);
    for (const channel of Array.from(this.local.values())) channel.close(1012, 'lease lost');
  }
}
