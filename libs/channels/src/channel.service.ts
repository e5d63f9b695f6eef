import { randomUUID } from 'node:crypto';
import {
  ClosedError,
  InvalidArgumentError,
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
import type { AmbientTransactions, Backplane } from './backplane/backplane.js';
import type {
  Asked,
  ChannelFigures,
  ChannelServiceOptions,
  OpenChannel,
  SendOptions,
  Whereabouts,
} from './channel.service.types.js';
import type { ChannelStore } from './channel.store.js';
import type { Frame } from './channel.transport.js';
import { keepAlive } from './service/keep-alive.js';
import { enter } from './service/enter.js';
import { frameOf } from './service/frame-of.js';
import { Listeners } from './service/listeners.js';
import { LocalChannel, type ChannelOwner } from './service/local-channel.js';
import { NodeBus, type NodeOrder } from './service/node-bus.js';
import { NodeLease } from './service/node-lease.js';
import { Orders, type RelayHandler } from './service/orders.js';
import { Questions } from './service/questions.js';
import { Removals } from './service/removals.js';
import { Routes } from './service/routes.js';
import { Takeovers } from './service/takeovers.js';
import { assertMaxPayload } from './support/arguments.js';

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
  private readonly closedListeners = new Listeners<[string, boolean]>('closed channels', this.logger);
  private readonly removedListeners = new Listeners<[readonly string[]]>('removed channels', this.logger);
  private readonly recoveredListeners = new Listeners<[]>('a recovered link', this.logger);
  private readonly takeovers: Takeovers;
  private readonly orders: Orders<Opening, Session>;
  private readonly bus: NodeBus;
  private readonly routes: Routes;
  private readonly questions: Questions;
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
    assertMaxPayload(maxPayload);
    const { nodeId, logger, local } = this;
    this.store = store;
    this.backplane = backplane;
    this.maxPayload = maxPayload;
    this.removals = new Removals(store, nodeId, logger);
    const orders = new Orders(local, (channelId) => void this.takeovers.check(channelId), logger);
    this.orders = orders;
    const onRecovered = (): void => void this.recoveredListeners.call();
    this.bus = new NodeBus({ backplane, nodeId, logger, orders, onRecovered });
    const { bus, closedListeners } = this;
    this.takeovers = new Takeovers({ store, nodeId, local, bus, closedListeners, logger });
    this.onRecovered(() => void this.takeovers.checkAll());
    const transactions = [options.transactions, backplane.transactions];
    const leaseMs = parseDuration(lease, 'lease');
    this.routes = new Routes({ store, nodeId, bus, orders, transactions });
    this.questions = new Questions({ store, bus, orders, routes: this.routes, limitMs: leaseMs });
    this.lease = new NodeLease({
      store,
      nodeId,
      leaseMs,
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

  /** The caller's, for whose commit what is sent waits. */
  get currentTransaction(): AmbientTransactions['currentTransaction'] {
    return this.routes.currentTransaction;
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
    const { channelId = randomUUID(), channelName, openingData = {} as Opening, transport } = given;
    assertName(channelId, 'channelId');
    if (typeof transport?.send !== 'function' || typeof transport.close !== 'function') {
      throw new InvalidArgumentError('transport', 'must have the methods send and close.');
    }
    if (this.isDraining) throw new ClosedError('ChannelService');
    // Its life is not that of the caller's transaction.
    return runInRootScope(() =>
      this.takeovers.inTurn(channelId, async () => {
        await this.lifecycle.ready();
        await this.removals.settled(channelId);
        const { losses } = this;
        const session = await enter(this, this.takeovers, channelId, given).catch((error: unknown) => {
          // An older connection goes on.
          if (!this.local.has(channelId)) this.removals.add(channelId);
          throw error;
        });
        this.takeovers.end(channelId);
        const channel = new LocalChannel(channelId, channelName, openingData, session, transport, this.owner);
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
    return this.routes.reachUser(userId, (id) => this.deliver(id, frame), binary, frame.data);
  }

  /** @throws ChannelNotFoundError; InvalidArgumentError; ChannelOperationError */
  async setSession(channelId: string, session: Session | null): Promise<void> {
    await this.lifecycle.ready();
    await this.store.setUserSession(channelId, session);
    const channel = this.local.get(channelId);
    if (channel !== undefined) channel.session = session;
  }

  /**
   * Ends a connection wherever it is; one that nobody holds is removed. Else the instance that holds it removes its
   * channel once the connection has closed, so that it may still be found for a moment after this has resolved.
   *
   * @param options.code of RFC 6455. Default: 1000
   */
  async disconnect(
    channelId: string,
    { code = 1000, reason = '' }: { code?: number; reason?: string } = {},
  ): Promise<Whereabouts> {
    assertName(channelId, 'channelId');
    await this.lifecycle.ready();
    const where = await this.order(channelId, { do: 'close', ids: [channelId], code, reason });
    // What has an owner is on its way in or out there.
    const isNobodys = where === 'gone' && (await this.store.locate([channelId])).get(channelId) === null;
    if (isNobodys) await this.store.removeChannels([channelId]);
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
    return this.order(channelId, { do: 'relay', ids: [channelId], kind, payload });
  }

  /**
   * Asks the instance that holds a channel, if that is another one: its handler of that kind gives the answer. It is
   * asked again while it is silent, and may handle that more than once.
   *
   * @returns `gone` also when the lease of that instance has ended
   * @throws UnsupportedOperationError inside an ambient transaction; ChannelOperationError; BackplaneError when the
   *   handler failed, or gave no answer for as long as a lease; ClosedError; the reason of the signal
   */
  async ask(channelId: string, kind: string, payload: JsonValue, signal?: AbortSignal): Promise<Asked> {
    assertName(channelId, 'channelId');
    assertJson(payload, 'payload');
    await this.lifecycle.ready();
    return this.questions.ask({ channelId, kind, payload }, signal);
  }

  /** Of a relay, or of a question. @throws InvalidArgumentError when there is a handler of that kind already */
  onRelay(kind: string, handler: RelayHandler): Disposable {
    return this.orders.onRelay(kind, handler);
  }

  /** Called when a channel of this instance has ended, or goes on with a newer connection, here or elsewhere. */
  onClosed(listener: (channelId: string, isReplaced: boolean) => void): Disposable {
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
    this.takeovers.close();
    this.questions.close();
    await this.drain();
    await this.lease.close();
    if (this.options.closeStore === false) return;
    const outcomes = await Promise.allSettled([this.backplane.close(), this.store.close()]);
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
  }

  private order(channelId: string, order: NodeOrder): Promise<Whereabouts> {
    return this.routes.reach(channelId, () => this.orders.carryOut(channelId, order), order);
  }

  private ended(channel: LocalChannel<JsonObject, Session>): void {
    if (this.local.get(channel.id) !== channel) return;
    this.local.delete(channel.id);
    this.removals.add(channel.id);
    void this.closedListeners.call(channel.id, false);
  }

  /** Others have removed what this instance held, so whoever is connected has to come back. */
  private lose(): void {
    this.losses++;
    this.logger.warn(`The lease of this instance was lost; ${this.local.size} connections are closed.`);
    for (const channel of Array.from(this.local.values())) channel.close(1012, 'lease lost');
  }
}
