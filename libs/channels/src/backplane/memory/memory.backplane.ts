import { ClosedError, messageOf } from '@nestbox/core';
import { Logger } from '@nestjs/common';
import {
  Backplane,
  type BackplaneMessage,
  type BackplaneReceiver,
  type BackplaneState,
  type HistoryPage,
  type OutgoingMessage,
  type Position,
  type Retention,
} from '../backplane.js';
import { Joins } from '../joins.js';
import { MemoryNetwork } from './memory-network.js';

/** Carries messages between the instances on one network in this process. Without a network, an instance is alone. */
export class MemoryBackplane extends Backplane {
  readonly backend = 'memory';
  private readonly logger = new Logger('MemoryBackplane');
  private readonly joins = new Joins();
  private readonly listener = (message: BackplaneMessage): void => this.receive(message);
  private receiver: BackplaneReceiver | undefined;
  private nodeId = '';
  private isClosed = false;
  private current: BackplaneState = { status: 'idle', since: new Date() };

  constructor(private readonly network = new MemoryNetwork()) {
    super();
  }

  get state(): BackplaneState {
    return this.current;
  }

  async open(nodeId: string, receiver: BackplaneReceiver): Promise<void> {
    if (this.isClosed) throw new ClosedError('MemoryBackplane');
    this.nodeId = nodeId;
    this.receiver = receiver;
    this.network.connect(this.listener);
    this.current = { status: 'up', since: new Date() };
  }

  async close(): Promise<void> {
    this.isClosed = true;
    this.network.disconnect(this.listener);
    this.current = { status: 'idle', since: new Date() };
  }

  join(topic: string): undefined {
    this.joins.add(topic);
  }

  leave(topic: string): void {
    this.joins.remove(topic);
  }

  joinAll(): undefined {
    this.joins.addAll();
  }

  leaveAll(): void {
    this.joins.removeAll();
  }

  async publish(
    { topic, payload, binary, except }: OutgoingMessage,
    retention?: Retention,
  ): Promise<Position | undefined> {
    if (this.isClosed) throw new ClosedError('MemoryBackplane');
    // A copy, since the caller may use its bytes again.
    const message = {
      topic,
      payload: Buffer.from(payload),
      binary,
      except: [...except],
      origin: this.nodeId,
    };
    return this.network.send(message, retention);
  }

  async head(topic: string): Promise<Position | undefined> {
    return this.network.head(topic);
  }

  async history(
    topic: string,
    { since, limit = 1000 }: { since?: Position; limit?: number } = {},
  ): Promise<HistoryPage | undefined> {
    return this.network.read(topic, since, limit);
  }

  private receive(message: BackplaneMessage): void {
    if (message.origin === this.nodeId && message.position === undefined) return;
    if (!this.joins.wants(message.topic)) return;
    try {
      this.receiver?.onMessage(message);
    } catch (error) {
      // Whoever published must not suffer from who listens.
      this.logger.error(`A message of topic "${message.topic}" was not taken: ${messageOf(error)}`);
    }
  }
}
