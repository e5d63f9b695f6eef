import type { JsonValue } from '@nestbox/core';
import { quoteIdentifier, type Postgres } from '@nestbox/postgres';
import type { Snapshot, SnapshotKey } from '../event-store.backend.js';
import { toBigInt } from './message-rows.js';

/** The statements on the table of snapshots. */
export class SnapshotTable {
  private readonly table: string;

  constructor(
    private readonly postgres: Postgres,
    schema: string,
  ) {
    this.table = `${quoteIdentifier(schema)}.emt_snapshots`;
  }

  async read({ partition, streamName, name, schemaVersion }: SnapshotKey): Promise<Snapshot | undefined> {
    const [row] = await this.postgres.query(
      `select s.stream_position as at, s.state::text as state from ${this.table} s
        where s.partition = $1 and s.stream_id = $2 and s.name = $3 and s.schema_version = $4::integer`,
      [partition, streamName, name, schemaVersion],
    );
    if (row === undefined) return undefined;
    return { version: toBigInt(row['at']), state: JSON.parse(row['state'] as string) as JsonValue };
  }

  async write(
    { partition, streamName, name, schemaVersion }: SnapshotKey,
    { version, state }: Snapshot,
  ): Promise<void> {
    await this.postgres.query(
      `insert into ${this.table} as s (partition, stream_id, name, schema_version, stream_position, state)
       values ($1, $2, $3, $4::integer, $5::text::bigint, $6::text::jsonb)
       on conflict (stream_id, name, schema_version, partition) do update
         set stream_position = excluded.stream_position, state = excluded.state
       where s.stream_position < excluded.stream_position`,
      [partition, streamName, name, schemaVersion, String(version), JSON.stringify(state)],
    );
  }
}
