select nestbox.ensure_schema({{schema:literal}});

-- The entries. Those whose time is up stay until they are swept, so read with
-- `expires_at is null or expires_at > clock_timestamp()`.
create table {{schema.table}} (
  key text collate "C" primary key,
  value jsonb not null,
  version bigint not null default 1,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp(),
  expires_at timestamptz
) with (fillfactor = 90);

-- From PostgreSQL 16 on, a BRIN index lets updates stay in their page (HOT) although each one changes the column.
do $do$
begin
  if current_setting('server_version_num')::integer >= 160000 then
    create index on {{schema.table}} using brin (updated_at) with (pages_per_range = 32, autosummarize = on);
  else
    create index on {{schema.table}} (updated_at);
  end if;
end
$do$;
create index on {{schema.table}} (expires_at) where expires_at is not null;

-- The versions of deleted keys, so that a key that comes back goes on above. Old ones are swept; then the sequence
-- below stands for them: no new key gets a version up to its value.
create table {{schema.table+_tombstones}} (
  key text collate "C" primary key,
  version bigint not null,
  deleted_at timestamptz not null
);
create index on {{schema.table+_tombstones}} using brin (deleted_at) with (pages_per_range = 32, autosummarize = on);

create sequence {{schema.table+_floor}} as bigint minvalue 0 start 0 owned by {{schema.table+_tombstones}}.version;
select nextval({{schema.table+_floor:regclass}});

-- Above 0 once a key was deleted. While it is 0, new keys need no look at the tombstones. A sequence, because its
-- value is seen at once, whatever snapshot a statement has.
create sequence {{schema.table+_deletions}} as bigint minvalue 0 start 0 owned by {{schema.table+_tombstones}}.key;
select nextval({{schema.table+_deletions:regclass}});

-- States of keys, where a writer asked for it.
create table {{schema.table+_history}} (
  key text collate "C" not null,
  version bigint not null,
  value jsonb,
  deleted boolean not null,
  at timestamptz not null,
  primary key (key, version)
);

-- The changes, in the order of an ordered log (see nestbox.enter_log).
create table {{schema.table+_changes}} (
  revision bigint primary key,
  key text collate "C" not null,
  version bigint not null,
  type text not null check (type in ('set', 'delete', 'expire')),
  value jsonb,
  at timestamptz not null
);
create sequence {{schema.table+_revision}} as bigint minvalue 0 start 0 owned by {{schema.table+_changes}}.revision;
select nextval({{schema.table+_revision:regclass}});

-- Above 0 while changes are logged. A sequence for the same reason as above: see <table>_watch.
create sequence {{schema.table+_watched}} as bigint minvalue 0 start 0 owned by {{schema.table+_changes}}.key;
select nextval({{schema.table+_watched:regclass}});
select setval({{schema.table+_watched:regclass}}, 1);

-- One row: what the log holds, and for how long it is kept up.
create table {{schema.table+_log}} (
  singleton boolean primary key default true check (singleton),
  -- Every change from this revision on is in the log; null while that cannot be said of any.
  oldest_revision bigint,
  -- Grows whenever logging begins.
  activation bigint not null,
  -- Nobody who watched before this time needs the log any more.
  watched_until timestamptz not null,
  -- Watermarks and when they were read, oldest first: what is older than the retention.
  mark_revisions bigint[] not null,
  mark_times timestamptz[] not null
);
insert into {{schema.table+_log}} values (true, 1, 1, '-infinity', '{}', '{}');
