import { ClosedError, backoffMs, runInRootScope } from '@nestbox/core';
import { setTimeout as sleep } from 'node:timers/promises';
import type { SingleClient } from './driver.js';
import { sharded } from './pub-sub-kind.js';
import { Subscriber } from './subscriber.js';
import type { RedisSubscription, Subscription } from './subscription.js';

/** What a cluster's client knows of its nodes. */
export interface Topology {
  /** The node that has a channel, as far as it is known. */
  homeOf(channel: string): string | undefined;
  /** Asks the cluster where the slots are. */
  refresh(): Promise<void>;
  /** A new connection to a node, not yet made. */
  connect(node: string): Promise<SingleClient>;
}

/**
 * Subscribes to sharded channels of a cluster, on one connection to each node that has some of them. When a node does
 * not serve a channel, or is lost, it asks where the slots are now, again and again until all is well.
 */
export class ShardedSubscriber {
  private readonly homes = new Map<Subscription, Subscriber | undefined>();
  private readonly nodes = new Map<string, Subscriber>();
  private readonly closing = new AbortController();
  private healing: Promise<void> | undefined;
  private lastError: unknown;

  constructor(
    private readonly server: string,
    private readonly unavailableAfterMs: number,
    private readonly topology: Topology,
  ) {}

  /** @throws RedisUnavailableError when it is not confirmed in time */
  async subscribe(subscription: Subscription): Promise<RedisSubscription> {
    if (this.closing.signal.aborted) throw new ClosedError(`Redis (${this.server})`);
    this.homes.set(subscription, undefined);
    this.place(subscription);
    try {
      await subscription.whenConfirmed(this.server, this.unavailableAfterMs, () => this.lastError);
    } catch (error) {
      void this.remove(subscription);
      throw error;
    }
    return {
      get isLive() {
        return subscription.isLive;
      },
      unsubscribe: () => this.remove(subscription),
    };
  }

  /** Ends all subscriptions. */
  async close(): Promise<void> {
    this.closing.abort();
    this.homes.clear();
    await Promise.all([...this.nodes.values()].map((node) => node.close()));
    await this.healing;
  }

  private async remove(subscription: Subscription): Promise<void> {
    const home = this.homes.get(subscription);
    this.homes.delete(subscription);
    await home?.remove(subscription);
  }

  /** Gives a subscription to the node that has its channel. */
  private place(subscription: Subscription): void {
    const name = this.topology.homeOf(subscription.channel);
    if (name === undefined) return this.heal();
    let node = this.nodes.get(name);
    if (node === undefined) {
      node = new Subscriber(
        `${this.server}, node ${name}`,
        sharded,
        this.unavailableAfterMs,
        () => this.topology.connect(name),
        (reason) => {
          this.lastError = reason;
          this.heal();
        },
      );
      this.nodes.set(name, node);
    }
    const before = this.homes.get(subscription);
    if (before === node) return;
    void before?.remove(subscription);
    this.homes.set(subscription, node);
    node.add(subscription);
  }

  private heal(): void {
    if (this.closing.signal.aborted) return;
    this.healing ??= runInRootScope(async () => {
      // In a later turn, so that what is done here is never part of what called for it.
      await Promise.resolve();
      for (let attempt = 1; this.isLimping && !this.closing.signal.aborted; attempt++) {
        try {
          await this.topology.refresh();
          for (const subscription of this.homes.keys()) this.place(subscription);
          for (const node of this.nodes.values()) void node.sync();
        } catch (error) {
          this.lastError = error;
        }
        await this.pause(attempt);
      }
      this.healing = undefined;
    });
  }

  private get isLimping(): boolean {
    return [...this.homes.keys()].some(({ isLive }) => !isLive);
  }

  private async pause(attempt: number): Promise<void> {
    try {
      const ms = backoffMs(attempt, { baseMs: 20, maxMs: 1000 });
      await sleep(ms, undefined, { signal: this.closing.signal, ref: false });
    } catch {
      // Closed meanwhile.
    }
  }
}
