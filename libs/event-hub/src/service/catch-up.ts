import type { Backplane, BackplaneMessage, Position } from '@nestbox/channels';

/** So many messages of a history are read at a time. */
export const PAGE_SIZE = 1000;

/** What a subscription found in the history of its topic. */
export interface CaughtUp {
  missed: BackplaneMessage[];
  /** Whether these are provably all since the position it asked from. */
  complete: boolean;
  /** Where the history stood; undefined when there is none. */
  head: Position | undefined;
}

/** Reads a history from a position to its head, page by page. */
export async function readSince(
  backplane: Pick<Backplane, 'history'>,
  topic: string,
  since: Position,
): Promise<CaughtUp> {
  const found: CaughtUp = { missed: [], complete: true, head: undefined };
  let after = since;
  for (;;) {
    const page = await backplane.history(topic, { since: after, limit: PAGE_SIZE });
    if (page === undefined) return { ...found, complete: false };
    found.head = page.head;
    if (!page.complete) found.complete = false;
    for (const message of page.messages) found.missed.push(message);
    const last = page.messages.at(-1)?.position;
    if (last === undefined || isAtOrAfter(last, page.head)) return found;
    after = last;
  }
}

/** Whether a position is known to be at another one or after it; those of different epochs are not. */
export function isAtOrAfter(position: Position, other: Position): boolean {
  return position.epoch === other.epoch && position.offset >= other.offset;
}
