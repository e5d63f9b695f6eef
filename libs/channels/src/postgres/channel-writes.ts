import { Coalescer } from '@nestbox/core';
import { isDataError } from '@nestbox/postgres';
import type { ChannelTable, ChannelToAdd, SessionToSet } from './channel-table.js';

export type ChannelWrite =
  ({ do: 'add' } & ChannelToAdd) | ({ do: 'session' } & SessionToSet) | { do: 'remove'; id: string };

/** What became of a write. */
export interface Written {
  /** Of a session: whether there is such a channel. */
  isKnown: boolean;
  /** Of an addition: the instance that has held the channel until now. */
  owner: string | undefined;
}

/** Writes single channels, those of many callers at once. */
export class ChannelWrites {
  private readonly coalescer: Coalescer<ChannelWrite, Written>;

  constructor(
    private readonly table: ChannelTable,
    schema: string,
  ) {
    this.coalescer = new Coalescer({
      name: `The writes of ${schema}.lambda_channels`,
      flush: (writes) => this.write(writes),
      key: ({ id }) => id,
      size: (write) =>
        write.do === 'add' ? write.opening.length : write.do === 'session' ? (write.session?.length ?? 0) : 0,
      isDataError,
    });
  }

  run(write: ChannelWrite): Promise<Written> {
    return this.coalescer.run(write);
  }

  close(): Promise<void> {
    return this.coalescer.close();
  }

  /** The ids are distinct, so the kinds may be written in any order; each may be written again. */
  async write(writes: readonly ChannelWrite[]): Promise<Written[]> {
    const added: ChannelToAdd[] = [];
    const sessions: SessionToSet[] = [];
    const removed: string[] = [];
    for (const write of writes) {
      if (write.do === 'add') added.push(write);
      else if (write.do === 'session') sessions.push(write);
      else removed.push(write.id);
    }
    const owners = added.length > 0 ? await this.table.add(added) : undefined;
    const known = sessions.length > 0 ? await this.table.setSessions(sessions) : undefined;
    if (removed.length > 0) await this.table.remove(removed);
    return writes.map(({ do: what, id }) => ({
      isKnown: what !== 'session' || known!.has(id),
      owner: owners?.get(id) ?? undefined,
    }));
  }
}
