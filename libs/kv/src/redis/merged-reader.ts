import { compareChanges, type LogPosition, type LoggedChange, type RedisChangeLog } from './change-log.js';

/** Entries of a shard's stream that are read at once. */
const READ_ENTRIES = 100;
/** Changes of a shard that may wait for those of others; beyond this it is not read further. */
const MAX_PENDING = 500;

/** Changes in order. */
export interface MergedPage {
  changes: LoggedChange[];
  /** Whether there are more already. */
  more: boolean;
  /** All changes up to this revision have been given. */
  horizon: bigint;
}

interface ShardState {
  position: LogPosition;
  pending: LoggedChange[];
  /** All changes up to this revision are pending, or have been given. */
  horizon: bigint;
  more: boolean;
}

/**
 * Reads the changes of all shards in the order of their revisions. A change is given once no shard can have an earlier
 * one any more. Shards on masters whose clocks differ wait for the clock that is last; should a master be gone, all
 * wait for it.
 */
export class MergedReader {
  private readonly shards: ShardState[];

  /** @param positions by shard, where to begin */
  constructor(
    private readonly log: RedisChangeLog,
    positions: readonly LogPosition[],
  ) {
    this.shards = positions.map((position) => ({ position, pending: [], horizon: 0n, more: true }));
  }

  /** Must not be called again before it has ended. When it fails, nothing is lost. */
  async read(): Promise<MergedPage> {
    const reads = await Promise.allSettled(this.shards.map((state, shard) => this.readShard(state, shard)));
    for (const read of reads) if (read.status === 'rejected') throw read.reason;
    const horizon = this.shards.reduce(
      (least, state) => (state.horizon < least ? state.horizon : least),
      this.shards[0]!.horizon,
    );
    const changes = this.shards.flatMap(({ pending }) => {
      const after = pending.findIndex(({ revision }) => revision > horizon);
      return pending.splice(0, after === -1 ? pending.length : after);
    });
    if (this.shards.length > 1) changes.sort(compareChanges);
    return { changes, more: this.shards.some(({ more }) => more), horizon };
  }

  private async readShard(state: ShardState, shard: number): Promise<void> {
    if (state.pending.length >= MAX_PENDING) return;
    const { changes, more, horizon } = await this.log.after(shard, state.position, READ_ENTRIES);
    state.pending.push(...changes);
    state.position = changes.at(-1) ?? state.position;
    state.more = more;
    state.horizon = more ? state.position.revision : horizon;
  }
}
