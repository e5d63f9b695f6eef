import type { LibName } from '../schemas/lib-migrations.js';

/** The columns of an index as `pg_get_indexdef` prints them, without quotes. The first of each table is its primary key. */
export type ExpectedIndexes = Readonly<Record<string, readonly string[]>>;

/**
 * The indexes of a lib by table.
 *
 * @param name of the key-value table, or of the backplane's stream
 */
export function expectedIndexes(lib: LibName, name: string): ExpectedIndexes {
  switch (lib) {
    case 'postgres':
      return { leases: ['name'], migrations: ['lib, target, name'] };
    case 'kv':
      return {
        [name]: ['key', 'expires_at', 'updated_at'],
        [`${name}_changes`]: ['revision'],
        [`${name}_history`]: ['key, version'],
        [`${name}_log`]: ['singleton'],
        [`${name}_tombstones`]: ['key', 'deleted_at'],
      };
    case 'channels':
      return {
        lambda_channel_nodes: ['node_id'],
        lambda_channels: [
          'channel_id',
          'channel_name, channel_id',
          'last_interaction',
          'node_id, channel_id',
          'user_id',
        ],
      };
    case 'event-hub':
      return { lambda_channel_subscriptions: ['channel_id, topic', 'topic, channel_id'] };
    case 'backplane':
      return {
        [`${name}_stream`]: ['position', 'created_at', 'topic, position'],
        [`${name}_topics`]: ['topic'],
        [`${name}_trimmed`]: ['singleton'],
      };
    case 'event-store':
      return {
        emt_collections: ['name'],
        emt_messages: [
          'stream_id, stream_position, partition',
          'global_position',
          'stream_id, message_id, partition',
        ],
        emt_parked: [
          'subscription_id, partition, global_position',
          'global_position',
          'subscription_id, partition',
        ],
        emt_partitions: ['partition', 'suffix'],
        emt_snapshots: ['stream_id, name, schema_version, partition'],
        emt_streams: ['stream_id, partition'],
        emt_subscriptions: ['subscription_id, shard, partition'],
      };
    case 'workflows':
      return {
        workflow_active: [
          'run_id',
          'deadline_at',
          'due_at',
          'queue, partition_key',
          'queue, workflow, priority, due_at',
          'worker',
        ],
        workflow_queues: ['name'],
        workflow_runs: ['id', 'created_at, id', 'parent_id'],
        workflow_schedules: ['name', 'next_at'],
        workflow_signals: ['id', 'run_id', 'run_id, name, dedupe'],
        workflow_steps: ['run_id, step_name'],
        workflow_values: ['run_id, key'],
      };
  }
}
