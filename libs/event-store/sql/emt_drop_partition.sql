-- Drops the partition of every table, collections included, by one statement. Returns false when there is none.
create or replace function {{schema}}.emt_drop_partition(old_partition text) returns boolean
language plpgsql volatile
-- What decides how the bounds of a partition are written.
set standard_conforming_strings = on
as $function$
declare
  bound constant text := 'FOR VALUES IN (''' || replace(old_partition, '''', '''''') || ''')';
  tables text;
begin
  -- The same lock as that of new collections.
  perform pg_advisory_xact_lock(hashtext('nestbox event store'), hashtext({{schema:literal}}));
  delete from {{schema}}.emt_partitions p where p.partition = old_partition;
  if not found then
    return false;
  end if;
  -- Found by what they hold, since a rebuild may have left them another name than they were created with.
  select string_agg(c.oid::regclass::text, ', ' order by c.relname)
    into tables
    from pg_catalog.pg_class c
    join pg_catalog.pg_inherits i on i.inhrelid = c.oid
    join pg_catalog.pg_class parent on parent.oid = i.inhparent
    join pg_catalog.pg_namespace n on n.oid = parent.relnamespace
   where n.nspname = {{schema:literal}}
     and parent.relkind = 'p'
     and (
       parent.relname in ('emt_streams', 'emt_messages', 'emt_snapshots', 'emt_subscriptions')
       or exists (select from {{schema}}.emt_collections k where k.name = parent.relname)
     )
     and pg_catalog.pg_get_expr(c.relpartbound, c.oid) = bound;
  if tables is not null then
    execute 'drop table ' || tables;
  end if;
  delete from {{schema}}.emt_parked p where p.partition = old_partition or p.message_partition = old_partition;
  return true;
end
$function$;
