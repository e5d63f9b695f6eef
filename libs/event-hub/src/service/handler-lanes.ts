import type { BackplaneMessage } from '@nestbox/channels';
import { messageOf, runInRootScope } from '@nestbox/core';
import type { Logger } from '@nestjs/common';
import { contextOf, dataOf, type HubMessageContext } from './hub-message.js';

export type AnyHandler = (data: unknown, context: HubMessageContext) => unknown;

/** So many messages of a topic wait for a handler. */
export const MAX_QUEUED = 1000;

interface Lane {
  queue: BackplaneMessage[];
  running: Promise<void>;
  isDropping: boolean;
}

/**
 * Calls one handler: the messages of a topic one after the other, different topics side by side. Never within the call
 * that brought the message, so that a handler may publish, and outside its transaction.
 */
export class HandlerLanes {
  private readonly lanes = new Map<string, Lane>();
  private isStopped = false;

  constructor(
    private readonly text: string,
    private readonly handler: AnyHandler,
    private readonly logger: Logger,
  ) {}

  push(message: BackplaneMessage): void {
    if (this.isStopped) return;
    const { topic } = message;
    const lane = this.lanes.get(topic);
    if (lane === undefined) {
      const fresh: Lane = { queue: [message], running: Promise.resolve(), isDropping: false };
      this.lanes.set(topic, fresh);
      fresh.running = runInRootScope(() => this.run(topic, fresh));
      return;
    }
    if (lane.queue.length >= MAX_QUEUED) {
      if (!lane.isDropping) {
        this.logger.warn(
          `The handler of "${this.text}" does not keep up: ${MAX_QUEUED} messages of topic "${topic}" wait for it, and newer ones are dropped until it does.`,
        );
      }
      lane.isDropping = true;
      return;
    }
    lane.isDropping = false;
    lane.queue.push(message);
  }

  /** Takes nothing more; what waits is dropped. */
  stop(): void {
    this.isStopped = true;
    for (const { queue } of this.lanes.values()) queue.length = 0;
  }

  /** Resolves when nothing runs or waits. */
  async idle(): Promise<void> {
    while (this.lanes.size > 0) {
      await Promise.all([...this.lanes.values()].map(({ running }) => running));
    }
  }

  private async run(topic: string, lane: Lane): Promise<void> {
    await Promise.resolve();
    while (lane.queue.length > 0) {
      const batch = lane.queue;
      lane.queue = [];
      for (const message of batch) {
        if (this.isStopped) break;
        await this.call(message);
      }
    }
    this.lanes.delete(topic);
  }

  private async call(message: BackplaneMessage): Promise<void> {
    try {
      await this.handler(dataOf(message), contextOf(message));
    } catch (error) {
      const where =
        message.position === undefined ? '' : ` at ${message.position.epoch}:${message.position.offset}`;
      this.logger.error(
        `The handler of "${this.text}" failed on a message of topic "${message.topic}"${where}: ${messageOf(error)}`,
        error instanceof Error ? error.stack : undefined,
      );
    }
  }
}
