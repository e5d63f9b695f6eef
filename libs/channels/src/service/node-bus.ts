import { messageOf, type JsonValue } from '@nestbox/core';
import type { Logger } from '@nestjs/common';
import { randomUUID } from 'node:crypto';
import type { Backplane, BackplaneMessage } from '../backplane/backplane.js';

/** What one instance asks another to do with channels that it holds. */
export type NodeOrder =
  | { do: 'send'; ids: string[]; binary: boolean }
  | { do: 'close'; ids: string[]; code: number; reason: string }
  /** Another instance has added it since, so the connection ends and the channel stays, if it is still so. */
  | { do: 'replace'; ids: string[] }
  | { do: 'relay'; ids: string[]; kind: string; payload: JsonValue };

/** What one instance wants to know of another about a channel. */
export interface NodeQuestion {
  channelId: string;
  kind: string;
  payload: JsonValue;
}

/** What an instance says to a question. */
export interface NodeAnswer {
  /** Whether it holds that channel. */
  isHere: boolean;
  /** What the handler gave. */
  value?: JsonValue;
  /** Why there is none. */
  error?: string;
}

type BusMessage =
  | NodeOrder
  | ({ do: 'ask'; question: string } & NodeQuestion)
  | { do: 'answer'; question: string; answer: NodeAnswer };

/** What an instance does with what comes from others. */
export interface NodeOrders {
  obey(order: NodeOrder, body: Buffer): void;
  /** Never rejects. */
  answer(question: NodeQuestion): Promise<NodeAnswer>;
}

export interface NodeBusOptions {
  backplane: Backplane;
  nodeId: string;
  logger: Logger;
  orders: NodeOrders;
  onRecovered: () => void;
}

/** A question to one instance. */
export interface OpenQuestion extends Disposable {
  readonly nodeId: string;
  /** Resolves with the first answer; never, where none comes. */
  readonly answer: Promise<NodeAnswer>;
  /** May be called again where no answer came. @throws BackplaneError */
  send(): Promise<void>;
}

const TOPIC = 'node:';

/** Orders and questions to single instances, over the backplane. */
export class NodeBus {
  private readonly questions = new Map<string, (answer: NodeAnswer) => void>();

  constructor(private readonly options: NodeBusOptions) {}

  async open(): Promise<void> {
    const { backplane, nodeId, onRecovered } = this.options;
    await backplane.open(nodeId, {
      onMessage: (message) => this.receive(message),
      onGap: () => undefined,
      onRecovered,
    });
    await backplane.join(TOPIC + nodeId);
  }

  /** @throws BackplaneError */
  post(nodeId: string, order: NodeOrder, body?: Uint8Array): Promise<void> {
    return this.publish(nodeId, order, body);
  }

  /** Dispose of it when no answer is waited for any more. */
  question(nodeId: string, question: NodeQuestion): OpenQuestion {
    const id = randomUUID();
    const { questions } = this;
    return {
      nodeId,
      answer: new Promise((resolve) => questions.set(id, resolve)),
      send: () => this.publish(nodeId, { do: 'ask', question: id, ...question }),
      [Symbol.dispose]: () => void questions.delete(id),
    };
  }

  private async publish(
    nodeId: string,
    message: BusMessage,
    body: Uint8Array = Buffer.alloc(0),
  ): Promise<void> {
    const head = Buffer.from(JSON.stringify(message));
    const length = Buffer.alloc(4);
    length.writeUInt32BE(head.length);
    const payload = Buffer.concat([length, head, body]);
    await this.options.backplane.publish({ topic: TOPIC + nodeId, payload, binary: true, except: [] });
  }

  private receive({ topic, payload, origin }: BackplaneMessage): void {
    const { nodeId, logger, orders } = this.options;
    if (topic !== TOPIC + nodeId) return;
    try {
      const end = 4 + payload.readUInt32BE(0);
      const message = JSON.parse(payload.toString('utf8', 4, end)) as BusMessage;
      if (message.do === 'ask') void this.reply(origin, message.question, message);
      else if (message.do === 'answer') this.questions.get(message.question)?.(message.answer);
      else orders.obey(message, payload.subarray(end));
    } catch (error) {
      logger.error(`An order of another instance was not understood: ${messageOf(error)}`);
    }
  }

  /** Never rejects. */
  private async reply(nodeId: string, id: string, { channelId, kind, payload }: NodeQuestion): Promise<void> {
    const answer = await this.options.orders.answer({ channelId, kind, payload });
    try {
      await this.publish(nodeId, { do: 'answer', question: id, answer });
    } catch (error) {
      this.options.logger.warn(`Another instance did not get its answer: ${messageOf(error)}`);
    }
  }
}
