select nestbox.ensure_schema({{schema:literal}});

-- The tenants: each has a partition, suffixed so, of every table below and of every collection.
create table {{schema}}.emt_partitions (
  partition text collate "C" primary key,
  suffix text not null unique,
  created_at timestamptz not null default clock_timestamp()
);
insert into {{schema}}.emt_partitions (partition, suffix) values ('emt:default', 'default');

-- A stream's row is what orders its events: whoever appends locks it.
create table {{schema}}.emt_streams (
  stream_position bigint not null,
  created_at timestamptz not null default clock_timestamp(),
  is_archived boolean not null default false,
  -- A deleted stream keeps its row, so that its name is not used again.
  is_deleted boolean not null default false,
  partition text collate "C" not null,
  stream_id text collate "C" not null,
  stream_type text collate "C" not null,
  primary key (stream_id, partition)
) partition by list (partition);
create table {{schema}}.emt_streams_default partition of {{schema}}.emt_streams
  for values in ('emt:default') with (fillfactor = 70);

-- The events, in the order of an ordered log (see nestbox.enter_log).
create table {{schema}}.emt_messages (
  stream_position bigint not null,
  global_position bigint not null,
  created_at timestamptz not null,
  -- Whether the caller chose the id; only then can it be there already.
  has_own_id boolean not null,
  -- What stays of a deleted stream.
  is_tombstone boolean not null default false,
  partition text collate "C" not null,
  stream_id text collate "C" not null,
  stream_type text collate "C" not null,
  message_id text collate "C" not null,
  message_type text collate "C" not null,
  message_data jsonb not null,
  message_metadata jsonb,
  primary key (stream_id, stream_position, partition)
) partition by list (partition);
create index on {{schema}}.emt_messages (global_position);
create unique index on {{schema}}.emt_messages (stream_id, message_id, partition) where has_own_id;
create table {{schema}}.emt_messages_default partition of {{schema}}.emt_messages
  for values in ('emt:default') with (autovacuum_vacuum_insert_scale_factor = 0.1);

create sequence {{schema.sequence}} as bigint minvalue 0 start 0;
select nextval({{schema.sequence:regclass}});

create table {{schema}}.emt_snapshots (
  stream_position bigint not null,
  schema_version integer not null,
  partition text collate "C" not null,
  stream_id text collate "C" not null,
  name text collate "C" not null,
  state jsonb not null,
  primary key (stream_id, name, schema_version, partition)
) partition by list (partition);
create table {{schema}}.emt_snapshots_default partition of {{schema}}.emt_snapshots for values in ('emt:default');

-- How far each processor is, by shard. The partition '*' is that of processors that read all partitions.
create table {{schema}}.emt_subscriptions (
  last_processed_position bigint not null,
  updated_at timestamptz not null default clock_timestamp(),
  shard integer not null,
  shards integer not null,
  partition text collate "C" not null,
  subscription_id text collate "C" not null,
  status text not null default 'active' check (status in ('active', 'paused', 'failed')),
  error text,
  primary key (subscription_id, shard, partition)
) partition by list (partition);
create table {{schema}}.emt_subscriptions_all partition of {{schema}}.emt_subscriptions
  for values in ('*') with (fillfactor = 50);
create table {{schema}}.emt_subscriptions_default partition of {{schema}}.emt_subscriptions
  for values in ('emt:default') with (fillfactor = 50);

-- Events whose handler failed for good.
create table {{schema}}.emt_parked (
  global_position bigint not null,
  parked_at timestamptz not null default clock_timestamp(),
  attempts integer not null,
  -- How often somebody asked for it to be handled again, since it was last tried.
  requests integer not null default 0,
  partition text collate "C" not null,
  subscription_id text collate "C" not null,
  message_partition text collate "C" not null,
  error text not null,
  primary key (subscription_id, partition, global_position)
);
create index on {{schema}}.emt_parked (global_position);
create index on {{schema}}.emt_parked (subscription_id, partition) where requests > 0;

-- The tables of documents, so that new partitions are made for them too.
create table {{schema}}.emt_collections (
  name text collate "C" primary key,
  definition jsonb not null
);
