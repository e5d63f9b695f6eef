import { Coalescer } from '@nestbox/core';
import { isDataError, type Postgres } from '@nestbox/postgres';

/**
 * Reads what is kept of single channels, for many callers at once. Else those who come back all at once would line up
 * for connections, and the lease of their instance would have to wait behind them until it has ended.
 */
export class ChannelReads<T> {
  private readonly coalescer: Coalescer<string, T | undefined>;

  constructor(
    private readonly postgres: Postgres,
    name: string,
    private readonly readAll: (ids: readonly string[]) => Promise<Map<string, T>>,
  ) {
    this.coalescer = new Coalescer({
      name,
      flush: async (ids) => {
        const found = await this.readAll([...new Set(ids)]);
        return ids.map((id) => found.get(id));
      },
      isDataError,
    });
  }

  /** Goes with those of other callers; inside a transaction by itself. */
  async run(id: string): Promise<T | undefined> {
    if (this.postgres.currentTransaction === undefined) return this.coalescer.run(id);
    return (await this.readAll([id])).get(id);
  }

  close(): Promise<void> {
    return this.coalescer.close();
  }
}
