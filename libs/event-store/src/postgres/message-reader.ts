import { quoteIdentifier, textArray, type Postgres } from '@nestbox/postgres';
import type {
  LogQuery,
  StoredMessage,
  StreamInfo,
  StreamQuery,
  StreamSlice,
  StreamState,
} from '../event-store.backend.js';
import { MESSAGE_COLUMNS, messageOf, toBigInt } from './message-rows.js';

/** What a stream's row says. */
const STATE = `case when s.is_deleted then 'deleted' when s.is_archived then 'archived' else 'open' end`;

/** The statements that read streams and the log. */
export class MessageReader {
  private readonly streams: string;
  private readonly messages: string;

  constructor(
    private readonly postgres: Postgres,
    schema: string,
  ) {
    this.streams = `${quoteIdentifier(schema)}.emt_streams`;
    this.messages = `${quoteIdentifier(schema)}.emt_messages`;
  }

  /** One statement, hence one snapshot: the version is that of the events. */
  async readStream({
    partition,
    streamName,
    from,
    to,
    maxCount,
    backwards,
  }: StreamQuery): Promise<StreamSlice> {
    const params: unknown[] = [partition, streamName];
    const conditions: string[] = [];
    if (from > 1n) conditions.push(` and m.stream_position >= $${params.push(String(from))}::text::bigint`);
    if (to !== undefined)
      conditions.push(` and m.stream_position <= $${params.push(String(to))}::text::bigint`);
    const order = backwards ? 'desc' : 'asc';
    const limit = maxCount === undefined ? '' : `limit $${params.push(maxCount)}::integer`;
    // The stream's row comes with position 0, so that it is the first, or backwards the last.
    const rows = await this.postgres.query(
      `(select m.stream_position as at, m.global_position as pos, m.message_id as id, m.message_type as type,
               m.message_data::text as data, m.message_metadata::text as meta, m.created_at as time
          from ${this.messages} m
         where m.partition = $1 and m.stream_id = $2 and not m.is_tombstone${conditions.join('')}
         order by m.stream_position ${order} ${limit})
       union all
       select 0, s.stream_position, null, ${STATE}, null, null, null
         from ${this.streams} s
        where s.partition = $1 and s.stream_id = $2
       order by at ${order}`,
      params,
    );
    const head = backwards ? rows.pop() : rows.shift();
    if (head === undefined) return { state: 'absent', version: 0n, messages: [] };
    return {
      ...described(head['type'], toBigInt(head['pos'])),
      messages: rows.map((row) => {
        row['part'] = partition;
        row['stream'] = streamName;
        return messageOf(row);
      }),
    };
  }

  async streamState(
    partition: string,
    streamName: string,
  ): Promise<{ state: StreamState; version: bigint; position: bigint }> {
    const [row] = await this.postgres.query(
      `select ${STATE} as state, s.stream_position as at,
              (select m.global_position from ${this.messages} m
                where m.partition = $1 and m.stream_id = $2 and not m.is_tombstone
                order by m.stream_position desc limit 1) as pos
         from ${this.streams} s
        where s.partition = $1 and s.stream_id = $2`,
      [partition, streamName],
    );
    if (row === undefined) return { state: 'absent', version: 0n, position: 0n };
    return { ...described(row['state'], toBigInt(row['at'])), position: toBigInt(row['pos'] ?? '0') };
  }

  async readLog({
    after,
    upTo,
    limit,
    partition,
    types,
    withDeleted,
    category,
    shard,
  }: LogQuery): Promise<readonly StoredMessage[]> {
    const params: unknown[] = [String(after), String(upTo), limit];
    const conditions: string[] = [];
    if (partition !== undefined) conditions.push(`m.partition = $${params.push(partition)}`);
    if (types !== undefined) {
      conditions.push(`m.message_type = any ($${params.push(textArray(types))}::text[])`);
    } else if (withDeleted !== true) {
      conditions.push('not m.is_tombstone');
    }
    if (category !== undefined) conditions.push(`m.stream_type = $${params.push(category)}`);
    if (shard !== undefined) {
      conditions.push(
        `(hashtextextended(m.stream_id, hashtext(m.partition)) & 2147483647) % $${params.push(shard.count)}::integer
          = $${params.push(shard.index)}::integer`,
      );
    }
    const rows = await this.postgres.query(
      `select ${MESSAGE_COLUMNS}
         from ${this.messages} m
        where m.global_position > $1::text::bigint and m.global_position <= $2::text::bigint
          ${conditions.map((condition) => `and ${condition}`).join(' ')}
        order by m.global_position
        limit $3::integer`,
      params,
    );
    return rows.map(messageOf);
  }

  async lastPosition(upTo: bigint | undefined): Promise<bigint> {
    const bound = upTo === undefined ? '' : 'where m.global_position <= $1::text::bigint';
    const [row] = await this.postgres.query(
      `select m.global_position as pos from ${this.messages} m ${bound} order by m.global_position desc limit 1`,
      upTo === undefined ? [] : [String(upTo)],
    );
    return toBigInt(row?.['pos'] ?? '0');
  }

  async listStreams({
    partition,
    category,
    prefix,
    after,
    limit,
  }: {
    partition: string;
    category: string | undefined;
    prefix: string;
    after: string | undefined;
    limit: number;
  }): Promise<StreamInfo[]> {
    const rows = await this.postgres.query(
      `select s.stream_id as stream, s.stream_type as type, s.stream_position as at, ${STATE} as state
         from ${this.streams} s
        where s.partition = $1
          and s.stream_id >= $2 and s.stream_id > $3 and starts_with(s.stream_id, $2)
          and ($4::text is null or s.stream_type = $4)
          and s.stream_position > 0
        order by s.stream_id
        limit $5::integer`,
      [partition, prefix, after ?? '', category ?? null, limit],
    );
    return rows.map((row) => ({
      streamName: row['stream'] as string,
      category: row['type'] as string,
      ...described(row['state'], toBigInt(row['at'])),
    }));
  }
}

/** A row at version 0 was made for an append that did not come about, which only others in its transaction can see. */
function described(state: unknown, version: bigint): { state: StreamState; version: bigint } {
  return { state: version === 0n ? 'absent' : (state as StreamState), version };
}
