import { quoteIdentifier, textArray, type Postgres, type Row } from '@nestbox/postgres';
import type { ChannelNode, ChannelSummary } from '../channel.store.js';

/** A channel's texts, as they are kept. */
export interface StoredChannel {
  channelName: string;
  openingData: string;
  session: string | null;
}

export interface ChannelToAdd {
  id: string;
  name: string;
  /** JSON of an object. */
  opening: string;
  node: string | undefined;
}

export interface SessionToSet {
  id: string;
  /** JSON of an object; null ends the session. */
  session: string | null;
  user: string | null;
}

/** The statements on the tables of channels. */
export class ChannelTable {
  private readonly channels: string;
  private readonly nodes: string;
  private readonly schema: string;

  constructor(
    private readonly postgres: Postgres,
    schema: string,
  ) {
    this.schema = quoteIdentifier(schema);
    this.channels = `${this.schema}.lambda_channels`;
    this.nodes = `${this.schema}.lambda_channel_nodes`;
  }

  /** @returns who has held those that were there already */
  async add(channels: readonly ChannelToAdd[]): Promise<Map<string, string | null>> {
    // The JSON that is there already is put together, not encoded again.
    const json = channels.map(
      ({ id, name, opening, node }) =>
        `{"id":${JSON.stringify(id)},"name":${JSON.stringify(name)},"opening":${opening}` +
        `${node === undefined ? '' : `,"node":${JSON.stringify(node)}`}}`,
    );
    const rows = await this.postgres.query(
      `select known_id as id, owner from ${this.schema}.lambda_add_channels($1::text::jsonb)`,
      [`[${json.join()}]`],
    );
    return new Map(rows.map((row) => [idOf(row), row['owner'] as string | null]));
  }

  /** @returns the ids that exist */
  async setSessions(sessions: readonly SessionToSet[]): Promise<Set<string>> {
    const json = sessions.map(
      ({ id, session, user }) =>
        `{"id":${JSON.stringify(id)},"session":${session ?? 'null'},"user":${JSON.stringify(user)}}`,
    );
    const rows = await this.postgres.query(
      `select id from ${this.schema}.lambda_set_sessions($1::text::jsonb) as id`,
      [`[${json.join()}]`],
    );
    return new Set(rows.map(idOf));
  }

  /** @param nodeId only those that this instance holds */
  async remove(ids: readonly string[], nodeId?: string): Promise<void> {
    const remove = `${this.schema}.lambda_remove_channels`;
    if (nodeId === undefined) await this.postgres.query(`select ${remove}($1::text[])`, [textArray(ids)]);
    else await this.postgres.query(`select ${remove}($1::text[], $2)`, [textArray(ids), nodeId]);
  }

  async touch(ids: readonly string[]): Promise<void> {
    await this.postgres.query(
      `with locked as (
         select c.channel_id from ${this.channels} c
          where c.channel_id = any ($1::text[]) order by c.channel_id for no key update
       )
       update ${this.channels} c set last_interaction = clock_timestamp()
         from locked l where c.channel_id = l.channel_id`,
      [textArray(ids)],
    );
  }

  async get(ids: readonly string[]): Promise<Map<string, StoredChannel>> {
    const rows = await this.postgres.query(
      `select c.channel_id as id, c.channel_name, c.opening_data::text as opening, c.user_session::text as session
         from ${this.channels} c where c.channel_id = any ($1::text[])`,
      [textArray(ids)],
    );
    return new Map(
      rows.map((row) => [
        idOf(row),
        {
          channelName: String(row['channel_name']),
          openingData: String(row['opening']),
          session: row['session'] as string | null,
        },
      ]),
    );
  }

  async locate(ids: readonly string[]): Promise<Map<string, string | null>> {
    const rows = await this.postgres.query(
      `select c.channel_id as id, c.node_id from ${this.channels} c where c.channel_id = any ($1::text[])`,
      [textArray(ids)],
    );
    return new Map(rows.map((row) => [idOf(row), row['node_id'] as string | null]));
  }

  async findByUser(userId: string): Promise<string[]> {
    const rows = await this.postgres.query(
      `select c.channel_id as id from ${this.channels} c where c.user_id = $1 order by c.channel_id`,
      [userId],
    );
    return rows.map(idOf);
  }

  async list(name: string | undefined, after: string | undefined, limit: number): Promise<ChannelSummary[]> {
    const ofName = name === undefined ? '' : 'and c.channel_name = $3';
    const rows = await this.postgres.query(
      `select c.channel_id as id, c.channel_name, c.node_id,
              (extract(epoch from c.created_at) * 1000)::float8 as created,
              (extract(epoch from c.last_interaction) * 1000)::float8 as used
         from ${this.channels} c
        where c.channel_id > $1 ${ofName}
        order by c.channel_id
        limit $2::integer`,
      [after ?? '', limit, ...(name === undefined ? [] : [name])],
    );
    return rows.map((row) => ({
      channelId: idOf(row),
      channelName: String(row['channel_name']),
      nodeId: row['node_id'] as string | null,
      createdAt: new Date(Number(row['created'])),
      lastInteraction: new Date(Number(row['used'])),
    }));
  }

  async count(): Promise<number> {
    const [row] = await this.postgres.query(`select count(*)::text as count from ${this.channels}`);
    return Number(row!['count']);
  }

  async removeStale(olderThanMs: number, limit: number): Promise<string[]> {
    const rows = await this.postgres.query(
      `with locked as (
         select c.channel_id from ${this.channels} c
          where c.channel_id in (
            select s.channel_id from ${this.channels} s
             where s.last_interaction <= clock_timestamp() - $1::float8 * interval '1 millisecond'
             order by s.last_interaction limit $2::integer)
            and c.last_interaction <= clock_timestamp() - $1::float8 * interval '1 millisecond'
          order by c.channel_id for update skip locked
       )
       delete from ${this.channels} c using locked l where c.channel_id = l.channel_id
       returning c.channel_id as id`,
      [olderThanMs, limit],
    );
    return rows.map(idOf);
  }

  /** @returns whether it was registered, by itself and not as the owner of channels that were left over */
  async heartbeat(nodeId: string, leaseMs: number): Promise<boolean> {
    const [row] = await this.postgres.query(
      `with renewed as (
         update ${this.nodes} n set expires_at = clock_timestamp() + $2::float8 * interval '1 millisecond'
          where n.node_id = $1 and n.expires_at > '-infinity'
         returning 1
       ), registered as (
         insert into ${this.nodes} (node_id, expires_at)
         select $1, clock_timestamp() + $2::float8 * interval '1 millisecond'
          where not exists (select from renewed)
         on conflict (node_id) do update set expires_at = excluded.expires_at
       )
       select exists (select from renewed) as renewed`,
      [nodeId, leaseMs],
    );
    return row!['renewed'] === true;
  }

  async unregister(nodeId: string): Promise<void> {
    await this.postgres.query(`delete from ${this.nodes} n where n.node_id = $1`, [nodeId]);
  }

  async removeOf(nodeId: string, limit: number): Promise<string[]> {
    const rows = await this.postgres.query(
      `with locked as (
         select c.channel_id from ${this.channels} c where c.node_id = $1
          order by c.channel_id limit $2::integer for update
       )
       delete from ${this.channels} c using locked l where c.channel_id = l.channel_id
       returning c.channel_id as id`,
      [nodeId, limit],
    );
    return rows.map(idOf);
  }

  /** A null channel says that the instance is done with. */
  async reap(limit: number): Promise<{ nodeId: string; channelId: string | null }[]> {
    const rows = await this.postgres.query(
      `select dead_node, removed from ${this.schema}.lambda_reap($1::integer)`,
      [limit],
    );
    return rows.map((row) => ({
      nodeId: String(row['dead_node']),
      channelId: row['removed'] as string | null,
    }));
  }

  async adoptOrphans(): Promise<void> {
    await this.postgres.query(`select ${this.schema}.lambda_adopt_orphans()`);
  }

  async nodesAlive(): Promise<ChannelNode[]> {
    const rows = await this.postgres.query(
      `select n.node_id, (extract(epoch from n.expires_at - clock_timestamp()) * 1000)::float8 as left_ms,
              (select count(*) from ${this.channels} c where c.node_id = n.node_id)::text as channels
         from ${this.nodes} n
        where n.expires_at > '-infinity'
        order by n.node_id`,
    );
    return rows.map((row) => ({
      nodeId: String(row['node_id']),
      expiresInMs: Math.round(Number(row['left_ms'])),
      channels: Number(row['channels']),
    }));
  }
}

function idOf(row: Row): string {
  return String(row['id']);
}
