select nestbox.ensure_schema({{schema:literal}});

-- Who is connected.
create table if not exists {{schema}}.lambda_channels (
  channel_id text primary key,
  channel_name text not null,
  created_at timestamptz not null default now(),
  opening_data jsonb not null default '{}',
  user_session jsonb,
  last_interaction timestamptz not null default now()
);

-- The table may be one that was made before these columns were known.
alter table {{schema}}.lambda_channels
  alter column channel_id type text collate "C",
  -- The instance that holds the connection; null for none.
  add column if not exists node_id text collate "C",
  -- Whose the session is; null where it does not say.
  add column if not exists user_id text collate "C";
create index if not exists lambda_channels_node on {{schema}}.lambda_channels (node_id, channel_id) where node_id is not null;
create index if not exists lambda_channels_user on {{schema}}.lambda_channels (user_id) where user_id is not null;
create index if not exists lambda_channels_name on {{schema}}.lambda_channels (channel_name, channel_id);
alter table {{schema}}.lambda_channels set (fillfactor = 80);

-- From PostgreSQL 16 on, a BRIN index lets updates stay in their page (HOT) although most of them change the column.
do $do$
begin
  if current_setting('server_version_num')::integer >= 160000 then
    create index if not exists lambda_channels_last_interaction on {{schema}}.lambda_channels
      using brin (last_interaction) with (pages_per_range = 32, autosummarize = on);
  else
    create index if not exists lambda_channels_last_interaction on {{schema}}.lambda_channels (last_interaction);
  end if;
end
$do$;

-- The instances that hold connections, and until when they are taken for alive.
create table {{schema}}.lambda_channel_nodes (
  node_id text collate "C" primary key,
  expires_at timestamptz not null,
  registered_at timestamptz not null default clock_timestamp()
);
