import { quoteIdentifier, textArray, type Postgres } from '@nestbox/postgres';

/** A channel and a topic. */
export interface Subscription {
  channelId: string;
  topic: string;
}

/** The statements on the table of subscriptions. */
export class SubscriptionTable {
  private readonly schema: string;
  private readonly subscriptions: string;

  constructor(
    private readonly postgres: Postgres,
    schema: string,
  ) {
    this.schema = quoteIdentifier(schema);
    this.subscriptions = `${this.schema}.lambda_channel_subscriptions`;
  }

  /** @returns whether there is such a channel, for each */
  async subscribe(wanted: readonly Subscription[]): Promise<boolean[]> {
    const rows = await this.postgres.query(
      `select id from ${this.schema}.lambda_subscribe($1::text[], $2::text[]) as id`,
      columnsOf(wanted),
    );
    const alive = new Set(rows.map(({ id }) => id));
    return wanted.map(({ channelId }) => alive.has(channelId));
  }

  /** @returns whether it was there, for each */
  async unsubscribe(unwanted: readonly Subscription[]): Promise<boolean[]> {
    const rows = await this.postgres.query(
      `select ord::text as ord from ${this.schema}.lambda_unsubscribe($1::text[], $2::text[]) as ord`,
      columnsOf(unwanted),
    );
    const ended = new Set(rows.map(({ ord }) => Number(ord)));
    return unwanted.map((_, i) => ended.has(i + 1));
  }

  async unsubscribeAll(channelId: string): Promise<void> {
    await this.postgres.query(
      `with locked as (
         select s.topic from ${this.subscriptions} s where s.channel_id = $1 order by s.topic for update
       )
       delete from ${this.subscriptions} s using locked l where s.channel_id = $1 and s.topic = l.topic`,
      [channelId],
    );
  }

  async channelsOf(topics: readonly string[]): Promise<Map<string, string[]>> {
    const rows = await this.postgres.query(
      `select s.topic as key, s.channel_id as value from ${this.subscriptions} s where s.topic = any ($1::text[])`,
      [textArray(topics)],
    );
    return grouped(rows);
  }

  async topicsOf(channelIds: readonly string[]): Promise<Map<string, string[]>> {
    const rows = await this.postgres.query(
      `select s.channel_id as key, s.topic as value from ${this.subscriptions} s where s.channel_id = any ($1::text[])`,
      [textArray(channelIds)],
    );
    return grouped(rows);
  }

  async count(topic: string): Promise<number> {
    const [row] = await this.postgres.query(
      `select count(*)::text as count from ${this.subscriptions} s where s.topic = $1`,
      [topic],
    );
    return Number(row!['count']);
  }

  /** Goes from topic to topic through the index, however many channels each has. */
  async list(prefix: string, after: string | undefined, limit: number): Promise<string[]> {
    const rows = await this.postgres.query(
      `with recursive topics as (
         (select s.topic from ${this.subscriptions} s
           where s.topic >= $1 and s.topic > $2 order by s.topic limit 1)
         union all
         select (select s.topic from ${this.subscriptions} s where s.topic > t.topic order by s.topic limit 1)
           from topics t
          where starts_with(t.topic, $1)
       )
       select t.topic from topics t where starts_with(t.topic, $1) limit $3::integer`,
      [prefix, after ?? '', limit],
    );
    return rows.map(({ topic }) => String(topic));
  }
}

function columnsOf(subscriptions: readonly Subscription[]): [string, string] {
  return [
    textArray(subscriptions.map(({ channelId }) => channelId)),
    textArray(subscriptions.map(({ topic }) => topic)),
  ];
}

function grouped(rows: readonly Record<string, unknown>[]): Map<string, string[]> {
  const groups = new Map<string, string[]>();
  for (const row of rows) {
    const key = String(row['key']);
    const value = String(row['value']);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [value]);
    else group.push(value);
  }
  return groups;
}
