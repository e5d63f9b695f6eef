import type { ListedChannel, ListedPage } from './channel-backend.js';

/** Channels that are looked at in one go where most are of another name. */
const PAGE = 500;

/** A channel that may have expired. */
type Row = [channelId: string, name: string | null, ...rest: unknown[]];

/**
 * Goes through the ids until there are enough of a name.
 *
 * @param read gives the channels from a bound on, as ZRANGEBYLEX has it
 */
export async function listPage(
  read: (bound: string, count: number) => Promise<Row[]>,
  after: string | undefined,
  limit: number,
  name: string | undefined,
): Promise<ListedPage> {
  const channels: ListedChannel[] = [];
  let last = after;
  for (;;) {
    const count = name === undefined ? limit - channels.length : PAGE;
    const rows = await read(last === undefined ? '-' : `(${last}`, count);
    for (const row of rows) {
      [last] = row;
      if (!isThere(row) || (name !== undefined && row[1] !== name)) continue;
      channels.push(row);
      if (channels.length === limit) return { channels, after: last };
    }
    if (rows.length < count) return { channels, after: undefined };
  }
}

function isThere(row: Row): row is ListedChannel {
  return row[1] !== null;
}
