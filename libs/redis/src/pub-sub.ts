import { createNodeSubscriber, createSubscriber } from './client-factory.js';
import { isClusterClient, type ClusterClient, type RedisClient } from './driver.js';
import { classic, sharded, type PubSubKind } from './pub-sub-kind.js';
import { ShardedSubscriber } from './sharded-subscriber.js';
import { masterOf } from './slots.js';
import { Subscriber } from './subscriber.js';
import type { RedisSubscription, Subscription } from './subscription.js';

/** What the subscriptions need to know of the connection that they belong to. */
export interface PubSubHost {
  readonly server: string;
  readonly isCluster: boolean;
  readonly client: RedisClient;
  masters(): Promise<unknown>;
}

/** All subscriptions of a {@link Redis}, on connections that are made when the first one needs them. */
export class PubSub {
  private classic: Subscriber | undefined;
  private sharded: Subscriber | ShardedSubscriber | undefined;

  constructor(
    private readonly host: PubSubHost,
    private readonly unavailableAfterMs: number,
  ) {}

  subscribe(subscription: Subscription, isSharded: boolean): Promise<RedisSubscription> {
    if (!isSharded) {
      this.classic ??= this.subscriber(classic);
      return this.classic.subscribe(subscription);
    }
    this.sharded ??= this.host.isCluster ? this.clusterSubscriber() : this.subscriber(sharded);
    return this.sharded.subscribe(subscription);
  }

  async close(): Promise<void> {
    await Promise.all([this.classic?.close(), this.sharded?.close()]);
  }

  private subscriber(kind: PubSubKind): Subscriber {
    const { host } = this;
    return new Subscriber(host.server, kind, this.unavailableAfterMs, async () => {
      // A cluster client knows its nodes once it is connected.
      if (host.isCluster) await host.masters();
      return createSubscriber(host.client, host.server);
    });
  }

  private clusterSubscriber(): ShardedSubscriber {
    const { host } = this;
    const cluster = (): ClusterClient => {
      const { client } = host;
      if (!isClusterClient(client)) throw new TypeError(`Redis (${host.server}) is not a cluster.`);
      return client;
    };
    return new ShardedSubscriber(host.server, this.unavailableAfterMs, {
      homeOf: (channel) => masterOf(cluster(), channel),
      refresh: async () => {
        if (cluster().status !== 'ready') await host.masters();
        await new Promise<void>((resolve, reject) => {
          cluster().refreshSlotsCache((error) => (error ? reject(error) : resolve()));
        });
      },
      connect: async (node) => createNodeSubscriber(cluster(), host.server, node),
    });
  }
}
