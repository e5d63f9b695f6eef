-- The collections first: their definitions say which tables they are. Tables that projections in SQL write to are the
-- application's own, and stay.
do $do$
declare
  collection text;
begin
  for collection in select c.name from {{schema}}.emt_collections c order by c.name loop
    execute format('drop table if exists %I.%I', {{schema:literal}}, collection);
  end loop;
end
$do$;
drop function if exists {{schema}}.emt_append;
drop function if exists {{schema}}.emt_append_many;
drop function if exists {{schema}}.emt_collection_partition;
drop function if exists {{schema}}.emt_create_collection;
drop function if exists {{schema}}.emt_create_partition;
drop function if exists {{schema}}.emt_delete_stream;
drop function if exists {{schema}}.emt_drop_partition;
drop function if exists {{schema}}.emt_drop_tables;
drop function if exists {{schema}}.emt_lock_documents;
drop function if exists {{schema}}.emt_swap_tables;
-- The partitions go with their tables.
drop table
  {{schema}}.emt_collections,
  {{schema}}.emt_parked,
  {{schema}}.emt_subscriptions,
  {{schema}}.emt_snapshots,
  {{schema}}.emt_messages,
  {{schema}}.emt_streams,
  {{schema}}.emt_partitions;
drop sequence {{schema.sequence}};
select nestbox.drop_empty_schema({{schema:literal}});
