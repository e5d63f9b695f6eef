import type { AmbientTransactions } from '../backplane/backplane.js';
import type { Whereabouts } from '../channel.service.types.js';
import type { ChannelStore } from '../channel.store.js';
import type { NodeBus, NodeOrder } from './node-bus.js';

export interface RoutesOptions {
  store: ChannelStore;
  bus: NodeBus;
  nodeId: string;
  orders: { holds(channelId: string): boolean };
  /** Databases whose ambient transactions what is sent waits for. */
  transactions: readonly (AmbientTransactions | undefined)[];
}

/** Finds the way to channels, on this instance and on others. */
export class Routes {
  constructor(private readonly options: RoutesOptions) {}

  get currentTransaction(): AmbientTransactions['currentTransaction'] {
    for (const transactions of this.options.transactions) {
      const current = transactions?.currentTransaction;
      if (current !== undefined) return current;
    }
    return undefined;
  }

  /**
   * Has something done where a channel is; inside an ambient transaction after its commit.
   *
   * @param here does it on this instance; false when the channel has ended
   * @param order what to tell another instance
   */
  async reach(
    channelId: string,
    here: () => boolean,
    order: NodeOrder,
    body?: Uint8Array,
  ): Promise<Whereabouts> {
    const { bus, orders } = this.options;
    if (orders.holds(channelId)) {
      let taken = true;
      await this.afterCommit(() => {
        taken = here();
      });
      return taken ? 'local' : 'gone';
    }
    const owner = await this.ownerOf(channelId);
    if (owner === undefined) return 'gone';
    await this.afterCommit(() => bus.post(owner, order, body));
    return 'remote';
  }

  /** The other instance that holds a channel. */
  async ownerOf(channelId: string): Promise<string | undefined> {
    const owner = (await this.options.store.locate([channelId])).get(channelId);
    return owner === null || owner === this.options.nodeId ? undefined : owner;
  }

  /**
   * Sends to all channels of a user; inside an ambient transaction after its commit.
   *
   * @param here sends on this instance; false when the channel has ended
   * @returns to how many
   */
  async reachUser(
    userId: string,
    here: (channelId: string) => boolean,
    binary: boolean,
    body: Uint8Array,
  ): Promise<number> {
    const { here: own, elsewhere } = await this.ofUser(userId);
    let count = own.length;
    await this.afterCommit(async () => {
      count = own.filter((id) => here(id)).length;
      const posts = Array.from(elsewhere, ([nodeId, ids]) =>
        this.options.bus.post(nodeId, { do: 'send', ids, binary }, body),
      );
      await Promise.all(posts);
    });
    for (const ids of elsewhere.values()) count += ids.length;
    return count;
  }

  /** The channels of a user: those of this instance, and those of others by instance. */
  private async ofUser(userId: string): Promise<{ here: string[]; elsewhere: Map<string, string[]> }> {
    const { store, nodeId, orders } = this.options;
    const isLocal = (id: string): boolean => orders.holds(id);
    const ids = await store.findByUser(userId);
    const elsewhere = new Map<string, string[]>();
    const remote = ids.filter((id) => !isLocal(id));
    if (remote.length > 0) {
      for (const [id, owner] of await store.locate(remote)) {
        if (owner === null || owner === nodeId) continue;
        const some = elsewhere.get(owner);
        if (some === undefined) elsewhere.set(owner, [id]);
        else some.push(id);
      }
    }
    return { here: ids.filter(isLocal), elsewhere };
  }

  /** Does it now, or after the commit of the ambient transaction; after a rollback not at all. */
  private async afterCommit(fn: () => void | Promise<void>): Promise<void> {
    const transaction = this.currentTransaction;
    if (transaction === undefined) await fn();
    else transaction.afterCommit(fn);
  }
}
