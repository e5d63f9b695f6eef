import { textArray, type Postgres, type Row } from '@nestbox/postgres';
import type { BackplaneMessage, HistoryPage, OutgoingMessage, Position, Retention } from '../backplane.js';
import type { StreamNames } from './stream-names.js';

export interface Publication {
  message: OutgoingMessage;
  retention: Retention | undefined;
}

/** A message that was read, and how far the reader has come. */
export interface Followed {
  messages: BackplaneMessage[];
  /** Behind this nothing was looked at. */
  reached: bigint;
  /** The highest position that was ever deleted. */
  trimmed: bigint;
  isFull: boolean;
}

/** The statements on a stream's tables. */
export class PgStream {
  private readonly publishText: string;
  private readonly keepText: string;
  private readonly followText: string;
  private readonly historyText: string;
  private readonly trimText: string;
  private readonly gapsText: string;
  private readonly startText: string;

  constructor(
    private readonly postgres: Postgres,
    names: StreamNames,
  ) {
    this.publishText = `select at::text as at, kept_in from ${names.with('_publish')}($1, $2::text::jsonb, $3::bytea, $4::boolean)`;
    this.keepText = `select ${names.with('_keep')}($1::text::jsonb)`;
    this.followText = `select at::text as at, in_topic, from_node, is_bytes, not_for, content, kept_in
      from ${names.with('_follow')}($1::text::bigint, $2, $3::text[], $4::integer)`;
    this.historyText = `select at::text as at, from_node, is_bytes, not_for, content, kept_in
      from ${names.with('_history')}($1, $2::text::bigint, $3::integer)`;
    this.trimText = `select ${names.with('_trim')}($1::float8, $2::text[], $3::integer) as deleted`;
    this.gapsText = `select t.topic, t.epoch, t.floor::text as floor
      from ${names.with('_topics')} t where ($1::text[] is null or t.topic = any ($1::text[])) and t.floor > $2::text::bigint`;
    // As a reader without topics, who has not seen anything.
    this.startText = `select greatest(at, kept_in::bigint)::text as at from ${names.with('_follow')}(0, '', '{}', 1)`;
  }

  async publish(
    nodeId: string,
    items: readonly Publication[],
    relaxed: boolean,
  ): Promise<(Position | undefined)[]> {
    const rows = await this.postgres.query(this.publishText, [
      nodeId,
      JSON.stringify(items.map(describe)),
      Buffer.concat(items.map(({ message }) => message.payload)),
      relaxed,
    ]);
    return rows.map(positionOf);
  }

  /** Makes sure that a topic has a history. */
  async keep(topic: string, { size, ttlMs }: Retention): Promise<void> {
    await this.postgres.query(this.keepText, [JSON.stringify([{ topic, size, ttl: ttlMs }])]);
  }

  /** Where a reader begins who wants nothing that is there already. */
  async end(): Promise<bigint> {
    const rows = await this.postgres.query(this.startText);
    return BigInt(String(rows.at(-1)!['at']));
  }

  /** @param topics undefined for every topic */
  async follow(
    after: bigint,
    nodeId: string,
    topics: readonly string[] | undefined,
    maxRows: number,
  ): Promise<Followed> {
    const rows = await this.postgres.query(this.followText, [
      String(after),
      nodeId,
      topics === undefined ? null : textArray(topics),
      maxRows,
    ]);
    const last = rows.pop()!;
    return {
      messages: rows.map((row) => toMessage(String(row['in_topic']), row)),
      reached: BigInt(String(last['at'])),
      trimmed: BigInt(String(last['kept_in'])),
      isFull: last['is_bytes'] === true,
    };
  }

  async history(topic: string, since: number | undefined, maxRows: number): Promise<PgHistory | undefined> {
    const [info, ...rows] = await this.postgres.query(this.historyText, [
      topic,
      since === undefined ? null : String(since),
      maxRows,
    ]);
    if (info === undefined) return undefined;
    return {
      head: { epoch: String(info['kept_in']), offset: Number(info['at']) },
      gone: Number((info['content'] as Buffer).toString()),
      messages: rows.map((row) => toMessage(topic, row)),
    };
  }

  /**
   * Topics whose histories have lost something behind a position.
   *
   * @param topics undefined for every topic
   */
  async gaps(
    topics: readonly string[] | undefined,
    after: bigint,
  ): Promise<{ topic: string; head: Position }[]> {
    const rows = await this.postgres.query(this.gapsText, [
      topics === undefined ? null : textArray(topics),
      String(after),
    ]);
    return rows.map(({ topic, epoch, floor }) => ({
      topic: String(topic),
      head: { epoch: String(epoch), offset: Number(floor) },
    }));
  }

  async trim(keepMs: number, grown: readonly string[], maxRows: number): Promise<number> {
    const [row] = await this.postgres.query(this.trimText, [keepMs, textArray(grown), maxRows]);
    return Number(row!['deleted']);
  }
}

/** A part of a history, with the highest position that is not in it any more. */
export interface PgHistory extends Pick<HistoryPage, 'messages' | 'head'> {
  gone: number;
}

function describe({ message: { topic, payload, binary, except }, retention }: Publication) {
  return {
    topic,
    length: payload.length,
    ...(binary && { binary }),
    ...(except.length > 0 && { except }),
    ...(retention && { size: retention.size, ttl: retention.ttlMs }),
  };
}

function toMessage(topic: string, row: Row): BackplaneMessage {
  const except = row['not_for'] as string | null;
  const position = positionOf(row);
  return {
    topic,
    payload: row['content'] as Buffer,
    binary: row['is_bytes'] === true,
    except: except === null ? [] : (JSON.parse(except) as string[]),
    origin: String(row['from_node']),
    ...(position && { position }),
  };
}

/** Where a message stands that is kept. */
function positionOf(row: Row): Position | undefined {
  const epoch = row['kept_in'] as string | null;
  return epoch === null ? undefined : { epoch, offset: Number(row['at']) };
}
