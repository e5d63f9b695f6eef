import type { AmbientTransactions } from '../backplane/backplane.js';
import type { Whereabouts } from '../channel.service.types.js';
import type { ChannelStore } from '../channel.store.js';
import type { NodeBus, NodeOrder } from './node-bus.js';

export interface RoutesOptions {
  store: ChannelStore;
  bus: NodeBus;
  nodeId: string;
  isLocal: (channelId: string) => boolean;
  transactions: AmbientTransactions | undefined;
}

/** Finds the way to channels, on this instance and on others. */
export class Routes {
  constructor(private readonly options: RoutesOptions) {}

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
    const { bus, isLocal } = this.options;
    if (isLocal(channelId)) {
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

  /** The channels of a user: those of this instance, and those of others by instance. */
  async ofUser(userId: string): Promise<{ here: string[]; elsewhere: Map<string, string[]> }> {
    const { store, nodeId, isLocal } = this.options;
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
  async afterCommit(fn: () => void | Promise<void>): Promise<void> {
    const transaction = this.options.transactions?.currentTransaction;
    if (transaction === undefined) await fn();
    else transaction.afterCommit(fn);
  }
}
