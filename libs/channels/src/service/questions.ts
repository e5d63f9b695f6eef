import { ClosedError, TimeoutError, UnsupportedOperationError, type JsonValue } from '@nestbox/core';
import { BackplaneError } from '../channel.errors.js';
import type { Asked } from '../channel.service.types.js';
import type { ChannelStore } from '../channel.store.js';
import type { NodeAnswer, NodeBus, NodeQuestion, OpenQuestion } from './node-bus.js';
import type { Routes } from './routes.js';

/** A question may be lost on its way, and so may its answer: after so long without one it is looked into. */
const LOOK_MS = 1000;
/** A channel that its instance does not know is on its way in or out; which one shows within the sum of these. */
const PAUSES_MS: readonly number[] = [10, 20, 40, 80, 160, 320];

export interface QuestionsOptions {
  store: Pick<ChannelStore, 'nodes'>;
  routes: Routes;
  bus: NodeBus;
  orders: { holds(channelId: string): boolean };
  /** How long an instance that lives may take to answer, in ms. */
  limitMs: number;
}

/** Asks whichever instance holds a channel, until that one answers, or the channel is gone. */
export class Questions {
  private readonly waiting = new Set<(reason: unknown) => void>();
  private isClosed = false;

  constructor(private readonly options: QuestionsOptions) {}

  async ask(question: NodeQuestion, signal: AbortSignal | undefined): Promise<Asked> {
    const { routes, bus, orders, limitMs } = this.options;
    const { channelId } = question;
    if (routes.currentTransaction !== undefined) {
      throw new UnsupportedOperationError('ask', 'an open transaction', 'Ask after its commit.');
    }
    let deadline = 0;
    let open: OpenQuestion | undefined;
    let misses = 0;
    try {
      for (;;) {
        const owner = orders.holds(channelId) ? undefined : await routes.ownerOf(channelId);
        if (orders.holds(channelId)) return { where: 'local' };
        if (owner === undefined) return { where: 'gone' };
        // What another instance had to say, or this one before it missed, is no answer any more.
        if (open?.nodeId !== owner) {
          open?.[Symbol.dispose]();
          open = bus.question(owner, question);
          deadline = performance.now() + limitMs;
        }
        await open.send();
        const answer = await this.wait(open.answer, Math.min(LOOK_MS, deadline - performance.now()), signal);
        if (answer?.isHere === true) return { where: 'remote', answer: valueOf(channelId, answer) };
        if (answer === undefined) {
          const isAlive = await this.isAlive(owner);
          if (isAlive && performance.now() >= deadline) {
            throw failed(channelId, new TimeoutError('It', limitMs));
          }
          // It may have been removed meanwhile, or have come back to another instance: the next round finds out.
          if (!isAlive && (await routes.ownerOf(channelId)) === owner) return { where: 'gone' };
        } else {
          const pause = PAUSES_MS[misses++];
          if (pause === undefined) return { where: 'gone' };
          await this.wait(undefined, pause, signal);
          open[Symbol.dispose]();
          open = undefined;
        }
      }
    } finally {
      open?.[Symbol.dispose]();
    }
  }

  /** Whoever waits for an answer gets a ClosedError. */
  close(): void {
    this.isClosed = true;
    for (const end of this.waiting) end(new ClosedError('ChannelService'));
  }

  /** By its lease, which may have ended before its channels are removed. */
  private async isAlive(nodeId: string): Promise<boolean> {
    const nodes = await this.options.store.nodes();
    return nodes.some((node) => node.nodeId === nodeId && node.expiresInMs > 0);
  }

  /** @returns undefined when the time is over */
  private wait(
    answer: Promise<NodeAnswer> | undefined,
    ms: number,
    signal: AbortSignal | undefined,
  ): Promise<NodeAnswer | undefined> {
    const { waiting } = this;
    return new Promise<NodeAnswer | undefined>((resolve, reject) => {
      const settle = (act: () => void): void => {
        clearTimeout(timer);
        waiting.delete(end);
        signal?.removeEventListener('abort', onAbort);
        act();
      };
      const end = (reason: unknown): void => settle(() => reject(reason));
      const onAbort = (): void => end(signal?.reason);
      const timer = setTimeout(() => settle(() => resolve(undefined)), ms);
      waiting.add(end);
      signal?.addEventListener('abort', onAbort);
      void answer?.then((found) => settle(() => resolve(found)));
      if (signal?.aborted === true) onAbort();
      else if (this.isClosed) end(new ClosedError('ChannelService'));
    });
  }
}

function valueOf(channelId: string, { value, error }: NodeAnswer): JsonValue {
  if (error !== undefined) throw failed(channelId, new Error(error));
  return value ?? null;
}

function failed(channelId: string, cause: unknown): BackplaneError {
  return new BackplaneError(`ask the instance of channel "${channelId}"`, cause);
}
