import type { Postgres } from '@nestbox/postgres';

/** An event as the table has it; `n` is what its data says it is. */
export interface LoggedEvent {
  readonly position: bigint;
  readonly partition: string;
  readonly stream: string;
  readonly at: bigint;
  readonly n: number;
}

/** All that is committed, read past the store and all at once. */
export async function committedLog(postgres: Postgres, schema = 'event_store'): Promise<LoggedEvent[]> {
  const rows = await postgres.query(
    `select global_position::text as position, partition, stream_id as stream, stream_position::text as at,
            (message_data ->> 'n')::integer as n
       from ${schema}.emt_messages order by global_position`,
  );
  return rows.map((row) => ({
    position: BigInt(String(row['position'])),
    partition: String(row['partition']),
    stream: String(row['stream']),
    at: BigInt(String(row['at'])),
    n: Number(row['n']),
  }));
}

/** The streams' events, each in the order given. */
export function byStream<T extends { partition: string; stream: string }>(
  events: readonly T[],
): Map<string, T[]> {
  const streams = new Map<string, T[]>();
  for (const event of events) {
    const key = `${event.partition}/${event.stream}`;
    const list = streams.get(key);
    if (list === undefined) streams.set(key, [event]);
    else list.push(event);
  }
  return streams;
}

/** Resolves when `fn` calls `release`. */
export function gate(): { readonly opened: Promise<void>; readonly open: () => void } {
  let open!: () => void;
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { opened, open };
}
