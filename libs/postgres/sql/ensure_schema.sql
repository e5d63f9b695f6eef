-- Creates a schema unless it exists. Migrations call it under their lock, so two of them never race. An existing
-- schema needs no privilege to create one, and no notice is sent. The comment is what nestbox.drop_empty_schema looks
-- for.
create or replace function nestbox.ensure_schema(schema_name text) returns void
language plpgsql
as $$
begin
  if not exists (select from pg_catalog.pg_namespace n where n.nspname = schema_name) then
    execute pg_catalog.format('create schema %I', schema_name);
    execute pg_catalog.format('comment on schema %I is %L', schema_name, 'Created by Nestbox, which drops it when empty.');
  end if;
end
$$;
