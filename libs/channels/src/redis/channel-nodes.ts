import type { ChannelNode, ReapedNode } from '../channel.store.js';
import type { RedisChannelKeys } from './redis-channel-keys.js';
import type { RedisCommands } from './redis-commands.js';
import { CLAIM_LUA, HEARTBEAT_LUA, NODES_LUA } from './scripts/nodes.js';

/** For so long whoever removes the channels of an instance may be silent before another goes on. */
const CLAIM_MS = 10_000;

/** The instances and their leases, which are in one key, and the same on one server and on a cluster. */
export abstract class ChannelNodes {
  protected readonly claimMs = CLAIM_MS;

  constructor(
    protected readonly commands: RedisCommands,
    protected readonly keys: RedisChannelKeys,
    protected readonly ttlMs: number,
  ) {}

  async heartbeat(nodeId: string, leaseMs: number): Promise<boolean> {
    // What is needed to find the channels of a dead instance has to outlive its lease.
    const keepMs = Math.max(this.ttlMs, 2 * leaseMs + CLAIM_MS);
    const known = await this.commands.run(HEARTBEAT_LUA, [this.keys.nodes], nodeId, leaseMs, keepMs);
    await this.commands.command('PEXPIRE', this.keys.node(nodeId), keepMs);
    return Number(known) === 1;
  }

  async releaseNode(nodeId: string): Promise<string[]> {
    const [claimed] = await this.claim(nodeId);
    return claimed === undefined ? [] : (await this.clear(claimed)).channelIds;
  }

  async reap(): Promise<ReapedNode[]> {
    const reaped: ReapedNode[] = [];
    // One after the other, since a lot of channels may be removed at once.
    for (const nodeId of await this.claim()) {
      try {
        reaped.push(await this.clear(nodeId));
      } catch (error) {
        // What was removed is told; the claim runs out, and the next one goes on.
        if (reaped.length > 0) break;
        throw error;
      }
    }
    return reaped;
  }

  async nodes(): Promise<ChannelNode[]> {
    const rows = await this.commands.run<[nodeId: string, ms: string][]>(NODES_LUA, [this.keys.nodes]);
    return Promise.all(
      rows.map(async ([nodeId, ms]) => ({
        nodeId,
        expiresInMs: Number(ms),
        channels: Number(await this.commands.command('SCARD', this.keys.node(nodeId))),
      })),
    );
  }

  /** Removes the channels of an instance that was claimed, and ends the claim. */
  protected abstract clear(nodeId: string): Promise<ReapedNode>;

  private claim(...nodeId: [] | [string]): Promise<string[]> {
    return this.commands.run(CLAIM_LUA, [this.keys.nodes], CLAIM_MS, this.ttlMs + CLAIM_MS, ...nodeId);
  }
}
