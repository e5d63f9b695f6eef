-- Drops a schema that nestbox.ensure_schema has created, if nothing is left in it. What somebody else has created, or
-- has given a comment of their own, stays, and so does a schema that others still use.
create or replace function nestbox.drop_empty_schema(schema_name text) returns void
language plpgsql
as $$
begin
  if exists (
    select from pg_catalog.pg_namespace n
     where n.nspname = schema_name
       and pg_catalog.obj_description(n.oid, 'pg_namespace') = 'Created by Nestbox, which drops it when empty.'
  ) then
    execute pg_catalog.format('drop schema %I', schema_name);
  end if;
exception
  when dependent_objects_still_exist then
    null;
end
$$;
