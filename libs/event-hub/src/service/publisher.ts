import {
  BackplaneError,
  PayloadTooLargeError,
  type AmbientTransactions,
  type Backplane,
  type BackplaneMessage,
  type OutgoingMessage,
  type Retention,
} from '@nestbox/channels';
import { InvalidArgumentError, assertName, encodeJson } from '@nestbox/core';
import type { PublishOptions, PublishResult } from '../event-hub.types.js';
import { framesOf } from './frames.js';
import type { LocalMembers } from './local-members.js';
import { StartOrder } from './start-order.js';
import type { TopicHandlers } from './topic-handlers.js';
import { retentionOf, valueOf, type TopicRules } from './topic-rules.js';

export interface PublisherOptions {
  backplane: Backplane;
  members: LocalMembers;
  handlers: TopicHandlers;
  rules: TopicRules;
  nodeId: string;
  maxPayload: number;
  transactions: AmbientTransactions | undefined;
}

type LocalMessage = OutgoingMessage & { payload: Buffer };

/** Sends messages to the members of this instance, and to the other instances. */
export class Publisher {
  private readonly order = new StartOrder();

  constructor(private readonly options: PublisherOptions) {}

  /**
   * Everything that can be done at once is: the messages of one topic go out in the order of the calls.
   *
   * @param opening resolves when the hub is open, undefined when it is
   */
  async publish(
    topic: string,
    data: unknown,
    options: PublishOptions,
    opening: Promise<void> | undefined,
  ): Promise<PublishResult> {
    const { except, binary = false, history } = options;
    const left = readExcept(except);
    const rule = this.options.rules.of(topic);
    const retention = retentionOf(history, rule);
    const result = rule.schema?.['~standard'].validate(data);
    let payload: Buffer;
    let validating: Promise<void> | undefined;
    if (result instanceof Promise) {
      validating = result.then((found) => {
        payload = this.encode(topic, valueOf(found), binary);
      });
    } else {
      payload = this.encode(topic, result === undefined ? data : valueOf(result), binary);
    }
    return this.order.run(topic, bothOf(opening, validating), () =>
      this.send({ topic, payload, binary, except: left }, retention),
    );
  }

  private encode(topic: string, data: unknown, binary: boolean): Buffer {
    const payload = binary ? copyOf(data) : textOf(data);
    const { maxPayload } = this.options;
    if (payload.length > maxPayload) {
      throw new PayloadTooLargeError(`topic "${topic}"`, payload.length, maxPayload);
    }
    return payload;
  }

  private async send(message: LocalMessage, retention: Retention | undefined): Promise<PublishResult> {
    const { backplane, transactions, members } = this.options;
    const joined = backplane.transactions?.currentTransaction;
    if (joined !== undefined) {
      const local = members.countFor(message.topic, message.except);
      // Registered first: two publishes of a transaction are delivered in the order of their calls.
      if (retention === undefined) joined.afterCommit(() => void this.deliver(message));
      return { ...(await this.transmit(message, retention)), local };
    }
    const ambient = transactions?.currentTransaction;
    if (ambient !== undefined) {
      ambient.afterCommit(async () => void (await this.sendNow(message, retention)));
      return { local: members.countFor(message.topic, message.except) };
    }
    return this.sendNow(message, retention);
  }

  private async sendNow(message: LocalMessage, retention: Retention | undefined): Promise<PublishResult> {
    if (retention !== undefined) {
      const local = this.options.members.countFor(message.topic, message.except);
      return { ...(await this.transmit(message, retention)), local };
    }
    const local = this.deliver(message);
    await this.transmit(message, undefined, local);
    return { local };
  }

  private deliver(message: LocalMessage): number {
    const { members, handlers, nodeId } = this.options;
    const { topic, except } = message;
    const local = members.has(topic) ? members.send(topic, framesOf(message), except) : 0;
    if (handlers.has(topic)) {
      const received: BackplaneMessage = { ...message, origin: nodeId };
      handlers.dispatch(received);
    }
    return local;
  }

  private async transmit(
    message: LocalMessage,
    retention: Retention | undefined,
    local?: number,
  ): Promise<{ epoch?: string; offset?: number }> {
    try {
      return { ...(await this.options.backplane.publish(message, retention)) };
    } catch (error) {
      const which =
        local === undefined ? '' : ` on other instances (its ${local} members on this one got it)`;
      const cause = error instanceof BackplaneError && error.cause !== undefined ? error.cause : error;
      throw new BackplaneError(`publish to topic "${message.topic}"${which}`, cause);
    }
  }
}

function readExcept(except: string | readonly string[] | undefined): readonly string[] {
  if (except === undefined) return [];
  if (typeof except === 'string') {
    assertName(except, 'options.except');
    return [except];
  }
  if (!Array.isArray(except)) {
    throw new InvalidArgumentError('options.except', 'must be the id of a channel, or an array of ids.');
  }
  except.forEach((channelId: unknown, i) => assertName(channelId, `options.except[${i}]`));
  return [...except];
}

function textOf(data: unknown): Buffer {
  if (data instanceof Uint8Array) {
    throw new InvalidArgumentError('data', 'is a Uint8Array; publish bytes with { binary: true }.');
  }
  return Buffer.from(encodeJson(data, 'data'));
}

/** What the caller does to the bytes later must not reach those who have yet to send them. */
function copyOf(data: unknown): Buffer {
  if (!ArrayBuffer.isView(data) || !(data instanceof Uint8Array || isByteArray(data))) {
    throw new InvalidArgumentError('data', 'must be a Uint8Array, or a Buffer, with { binary: true }.');
  }
  return Buffer.from(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
}

/** Of another realm, such as a vm context. */
function isByteArray(data: ArrayBufferView): boolean {
  return Object.prototype.toString.call(data) === '[object Uint8Array]';
}

function bothOf(
  opening: Promise<void> | undefined,
  validating: Promise<void> | undefined,
): Promise<unknown> | undefined {
  if (opening === undefined || validating === undefined) return opening ?? validating;
  return Promise.all([opening, validating]);
}
