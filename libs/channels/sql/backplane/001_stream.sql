select nestbox.ensure_schema({{schema:literal}});

-- The messages, in the order of an ordered log (see nestbox.enter_log). They are read by every instance, and deleted
-- when everybody has had the time for it.
create table {{schema.name+_stream}} (
  position bigint primary key,
  topic text collate "C" not null,
  origin text not null,
  is_binary boolean not null,
  -- Ids of channels, as a JSON array; null for none.
  except_ids jsonb,
  payload bytea not null,
  created_at timestamptz not null default clock_timestamp(),
  -- Until when it belongs to the history of its topic; null where it never did.
  expires_at timestamptz
) with (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_insert_scale_factor = 0.2);
alter table {{schema.name+_stream}} alter column payload set storage external;
create index on {{schema.name+_stream}} (topic, position) where expires_at is not null;
create index on {{schema.name+_stream}} (created_at);

create sequence {{schema.name+_position}} as bigint minvalue 0 start 0 owned by {{schema.name+_stream}}.position;
select nextval({{schema.name+_position:regclass}});

-- The topics that have a history. A message keeps its place in it as long as its topic's row lives: with the row the
-- history ends, and another one begins with another epoch.
create table {{schema.name+_topics}} (
  topic text collate "C" primary key,
  epoch text not null default gen_random_uuid()::text,
  size bigint not null,
  ttl_ms double precision not null,
  -- The highest position of the topic that was deleted.
  floor bigint not null default 0
);

-- One row: the highest position that was deleted at all.
create table {{schema.name+_trimmed}} (
  singleton boolean primary key default true check (singleton),
  position bigint not null
);
insert into {{schema.name+_trimmed}} values (true, 0);
