import { Coalescer } from '@nestbox/core';
import { isDataError } from '@nestbox/postgres';
import type { ChannelTable, ChannelToAdd, SessionToSet } from './channel-table.js';

export type ChannelWrite =
  ({ do: 'add' } & ChannelToAdd) | ({ do: 'session' } & SessionToSet) | { do: 'remove'; id: string };

/** Writes single channels, those of many callers at once. Resolves to whether there was such a channel. */
export class ChannelWrites {
  private readonly coalescer: Coalescer<ChannelWrite, boolean>;

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

  run(write: ChannelWrite): Promise<boolean> {
    return this.coalescer.run(write);
  }

  close(): Promise<void> {
    return this.coalescer.close();
  }

  /** The ids are distinct, so the kinds may be written in any order; each may be written again. */
  async write(writes: readonly ChannelWrite[]): Promise<boolean[]> {
    const added: ChannelToAdd[] = [];
    const sessions: SessionToSet[] = [];
    const removed: string[] = [];
    for (const write of writes) {
      if (write.do === 'add') added.push(write);
      else if (write.do === 'session') sessions.push(write);
      else removed.push(write.id);
    }
    if (added.length > 0) await this.table.add(added);
    const known = sessions.length > 0 ? await this.table.setSessions(sessions) : undefined;
    if (removed.length > 0) await this.table.remove(removed);
    return writes.map((write) => write.do !== 'session' || known!.has(write.id));
  }
}
