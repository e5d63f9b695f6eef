-- Makes a partition of every table, collections included. Returns false when there is one of this name.
--
-- Each is attached when it is made. To create it in its place would lock the whole table against readers and writers,
-- and these would wait for the longest transaction that is at work on it.
create or replace function {{schema}}.emt_create_partition(new_partition text) returns boolean
language plpgsql volatile
as $function$
declare
  -- What can be read of the name, and what tells it from all others.
  new_suffix constant text :=
    trim('_' from left(regexp_replace(lower(new_partition), '[^a-z0-9]+', '_', 'g'), 16))
    || '_' || left(encode(sha256(convert_to(new_partition, 'UTF8')), 'hex'), 12);
  parent text;
  child text;
  options text;
begin
  -- The same lock as that of new collections.
  perform pg_advisory_xact_lock(hashtext('nestbox event store'), hashtext({{schema:literal}}));
  insert into {{schema}}.emt_partitions (partition, suffix) values (new_partition, new_suffix)
  on conflict (partition) do nothing;
  if not found then
    return false;
  end if;
  for parent, child, options in
    select t.name, t.name || '_' || new_suffix, t.options
      from (values ('emt_streams', 'with (fillfactor = 70)'),
                   ('emt_messages', 'with (autovacuum_vacuum_insert_scale_factor = 0.1)'),
                   ('emt_snapshots', ''),
                   ('emt_subscriptions', 'with (fillfactor = 50)')) as t (name, options)
    union all
    -- The tables of documents, those included that a rebuild is filling; but not one that somebody has dropped.
    select c.name, {{schema}}.emt_collection_partition(c.name, new_suffix), ''
      from {{schema}}.emt_collections c
     where to_regclass(format('%I.%I', {{schema:literal}}, c.name)) is not null
     order by 1
  loop
    execute format(
      'create table %I.%I (like %I.%I including all) %s',
      {{schema:literal}}, child, {{schema:literal}}, parent, options
    );
    execute format(
      'alter table %I.%I attach partition %I.%I for values in (%L)',
      {{schema:literal}}, parent, {{schema:literal}}, child, new_partition
    );
  end loop;
  return true;
end
$function$;
