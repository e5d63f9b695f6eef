-- What the primitives keep in the database. The schema may have been created beforehand by an administrator, for a
-- role that may not create schemas; `create schema if not exists` would still ask for that privilege.
do $$
begin
  if not exists (select from pg_catalog.pg_namespace where nspname = 'nestbox') then
    create schema nestbox;
  end if;
end
$$;

-- One row per applied file. Functions have no version; their row is updated when they are applied again.
create table nestbox.migrations (
  lib text collate "C" not null,
  target text collate "C" not null,
  name text collate "C" not null,
  version integer,
  checksum text not null,
  release text not null,
  breaking boolean not null default false,
  applied_at timestamptz not null default clock_timestamp(),
  primary key (lib, target, name)
);

-- A lease is held while it has an owner and has not expired. Every holder gets a higher epoch than all before it,
-- also when the row was swept in between, because the epochs come from a sequence. Renewals update rows in place.
create table nestbox.leases (
  name text collate "C" primary key,
  owner text,
  epoch bigint not null,
  acquired_at timestamptz not null default clock_timestamp(),
  expires_at timestamptz not null
) with (fillfactor = 50);

create sequence nestbox.lease_epochs as bigint;
