import { KeyedMutex } from '@nestbox/core';

interface Lane {
  /** The last operation on the whole channel. */
  barrier: Promise<unknown>;
  /** Those on one of its topics since then. */
  running: Set<Promise<unknown>>;
}

/**
 * Gives operations on subscriptions their turn: those on one channel and topic in call order, those on the whole channel
 * in order with all of them. Different topics of a channel go on side by side.
 */
export class ChannelTurns {
  private readonly mutex = new KeyedMutex();
  private readonly lanes = new Map<string, Lane>();
  private readonly watches = new Set<Set<string>>();

  onTopic<R>(channelId: string, topic: string, fn: () => Promise<R>): Promise<R> {
    const lane = this.enter(channelId);
    const { barrier } = lane;
    // Neither a channel nor a topic has a NUL in its name.
    const result = this.mutex.run(`${channelId}\0${topic}`, async () => {
      await barrier;
      return fn();
    });
    this.track(channelId, lane, result);
    return result;
  }

  onChannel<R>(channelId: string, fn: () => Promise<R>): Promise<R> {
    const lane = this.enter(channelId);
    const before = [lane.barrier, ...lane.running];
    const result = Promise.allSettled(before).then(fn);
    lane.barrier = result.then(noop, noop);
    lane.running.clear();
    this.track(channelId, lane, result);
    return result;
  }

  /** The ids of channels with an operation now, and of those that begin one until `stop`. */
  watch(): { touched: ReadonlySet<string>; stop: () => void } {
    const touched = new Set(this.lanes.keys());
    this.watches.add(touched);
    return { touched, stop: () => this.watches.delete(touched) };
  }

  /** Resolves when what is under way has ended. */
  async idle(): Promise<void> {
    await Promise.allSettled(
      [...this.lanes.values()].flatMap(({ barrier, running }) => [barrier, ...running]),
    );
  }

  private enter(channelId: string): Lane {
    for (const touched of this.watches) touched.add(channelId);
    let lane = this.lanes.get(channelId);
    if (lane === undefined)
      this.lanes.set(channelId, (lane = { barrier: Promise.resolve(), running: new Set() }));
    return lane;
  }

  private track(channelId: string, lane: Lane, result: Promise<unknown>): void {
    lane.running.add(result);
    const forget = (): void => {
      lane.running.delete(result);
      if (lane.running.size === 0 && this.lanes.get(channelId) === lane) this.lanes.delete(channelId);
    };
    result.then(forget, forget);
  }
}

function noop(): void {
  // Whoever called it hears of its failure.
}
