import { backplaneMigrations, channelMigrations } from '@nestbox/channels';
import { eventHubMigrations } from '@nestbox/event-hub';
import { eventStoreMigrations } from '@nestbox/event-store';
import { kvMigrations } from '@nestbox/kv';
import { Migrations, type Postgres } from '@nestbox/postgres';
import { workflowMigrations } from '@nestbox/workflows';
import type { ConfigFile } from '../config/config-file.js';

/** In the order in which they build on each other. */
export const LIBS = [
  'postgres',
  'kv',
  'channels',
  'event-hub',
  'backplane',
  'event-store',
  'workflows',
] as const;

export type LibName = (typeof LIBS)[number];

/** The backplanes that ChannelModule and EventHubModule make. */
const STREAMS = ['channels', 'hub'];

/** Where the tables are. What is not given is as each lib has it by default. */
export interface SchemaOptions {
  readonly schema?: string | undefined;
  readonly table?: string | undefined;
  readonly stream?: string | undefined;
}

/** The migrations of a lib: by the options, then by the configuration file. @throws InvalidArgumentError */
export function migrationsOf(
  lib: LibName,
  postgres: Postgres,
  { schema, table, stream }: SchemaOptions,
  { kv, channels, events, workflows }: ConfigFile,
): Migrations[] {
  const hub = { schema: schema ?? channels?.schema };
  switch (lib) {
    case 'postgres':
      return [Migrations.ofFoundation(postgres)];
    case 'kv':
      return [kvMigrations(postgres, { schema: schema ?? kv?.schema, tableName: table ?? kv?.table })];
    case 'channels':
      return [channelMigrations(postgres, hub)];
    case 'event-hub':
      return [eventHubMigrations(postgres, hub)];
    case 'backplane': {
      const names = stream === undefined ? (channels?.streams ?? STREAMS) : [stream];
      return names.map((name) => backplaneMigrations(postgres, { ...hub, name }));
    }
    case 'event-store':
      return [eventStoreMigrations(postgres, { schema: schema ?? events?.schema })];
    case 'workflows':
      return [workflowMigrations(postgres, { schema: schema ?? workflows?.schema })];
  }
}
