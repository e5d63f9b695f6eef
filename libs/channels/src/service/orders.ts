import { InvalidArgumentError, assertJson, messageOf, type JsonObject, type JsonValue } from '@nestbox/core';
import type { Logger } from '@nestjs/common';
import type { Frame } from '../channel.transport.js';
import type { LocalChannel } from './local-channel.js';
import type { NodeAnswer, NodeOrder, NodeQuestion } from './node-bus.js';

/** What it gives is the answer to whoever asks, and of no interest to who only tells. */
export type RelayHandler = (
  channelId: string,
  payload: JsonValue,
) => JsonValue | void | Promise<JsonValue | void>;

/** Carries out what this instance, or another one, wants done with channels that this one holds. */
export class Orders<Opening extends JsonObject, Session extends JsonObject> {
  private readonly relays = new Map<string, RelayHandler>();

  constructor(
    private readonly local: Map<string, LocalChannel<Opening, Session>>,
    private readonly onTakenOver: (channelId: string) => void,
    private readonly logger: Logger,
  ) {}

  /** @throws InvalidArgumentError when there is a handler of that kind already */
  onRelay(kind: string, handler: RelayHandler): Disposable {
    if (this.relays.has(kind)) throw new InvalidArgumentError('kind', `"${kind}" has a handler already.`);
    this.relays.set(kind, handler);
    return { [Symbol.dispose]: () => void this.relays.delete(kind) };
  }

  /** Whether this instance holds a channel. */
  holds(channelId: string): boolean {
    return this.local.has(channelId);
  }

  /** @param body what to send, for the order to send */
  obey(order: NodeOrder, body: Buffer): void {
    const frame: Frame | undefined = order.do === 'send' ? { data: body, binary: order.binary } : undefined;
    for (const id of order.ids) {
      if (order.do === 'replace') this.onTakenOver(id);
      else if (frame === undefined) this.carryOut(id, order);
      else this.local.get(id)?.deliver(frame);
    }
  }

  /** @returns whether this instance holds such a channel */
  carryOut(channelId: string, order: NodeOrder): boolean {
    const channel = this.local.get(channelId);
    if (channel === undefined) return false;
    if (order.do === 'close') channel.close(order.code, order.reason);
    if (order.do === 'relay') void this.relay(channelId, order.kind, order.payload);
    return true;
  }

  /** Has the handler of a question's kind answer it. Never rejects. */
  async answer({ channelId, kind, payload }: NodeQuestion): Promise<NodeAnswer> {
    if (!this.local.has(channelId)) return { isHere: false };
    try {
      const handler = this.relays.get(kind);
      if (handler === undefined) throw new Error(`Nothing there answers questions of the kind "${kind}".`);
      const value = (await handler(channelId, payload)) ?? null;
      assertJson(value, 'answer');
      return { isHere: true, value };
    } catch (error) {
      return { isHere: true, error: messageOf(error) };
    }
  }

  private async relay(channelId: string, kind: string, payload: JsonValue): Promise<void> {
    try {
      // Not before the caller has got its answer.
      await new Promise(setImmediate);
      await this.relays.get(kind)?.(channelId, payload);
    } catch (error) {
      this.logger.error(`A relay of the kind "${kind}" failed: ${messageOf(error)}`);
    }
  }
}
