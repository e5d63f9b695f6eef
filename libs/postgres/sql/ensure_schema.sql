-- Creates a schema unless it exists. Migrations call it under their lock, so two of them never race. An existing
-- schema needs no privilege to create one, and no notice is sent.
create or replace function nestbox.ensure_schema(schema_name text) returns void
language plpgsql
as $$
begin
  if not exists (select from pg_catalog.pg_namespace n where n.nspname = schema_name) then
    execute pg_catalog.format('create schema %I', schema_name);
  end if;
end
$$;
