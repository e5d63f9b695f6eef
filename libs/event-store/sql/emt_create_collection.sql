-- Makes the table of a collection, and indexes that it lacks. What is there stays.
--
-- index_paths  paths into the documents, each an array of steps
-- index_all    whether any containment gets an index
create or replace function {{schema}}.emt_create_collection(
  collection text,
  index_paths jsonb,
  index_all boolean
) returns void
language plpgsql volatile
as $function$
declare
  target constant text := format('%I.%I', {{schema:literal}}, collection);
  known jsonb;
  each_partition record;
  each_path jsonb;
begin
  -- The same lock as that of new partitions.
  perform pg_advisory_xact_lock(hashtext('nestbox event store'), hashtext({{schema:literal}}));
  known := (select c.definition from {{schema}}.emt_collections c where c.name = collection);
  if to_regclass(target) is null then
    execute format(
      'create table %s (
         partition text collate "C" not null,
         _id text collate "C" not null,
         data jsonb not null check (jsonb_typeof(data) = ''object''),
         _version bigint not null default 1,
         _created timestamptz not null default now(),
         _updated timestamptz not null default now(),
         primary key (partition, _id)
       ) partition by list (partition)',
      target
    );
    for each_partition in select p.partition, p.suffix from {{schema}}.emt_partitions p order by p.suffix loop
      execute format(
        'create table %I.%I partition of %s for values in (%L)',
        {{schema:literal}},
        {{schema}}.emt_collection_partition(collection, each_partition.suffix),
        target,
        each_partition.partition
      );
    end loop;
    known := null;
  elsif known is null then
    raise exception 'there is a table "%" in schema "%" already that is no collection', collection, {{schema:literal}}
      using errcode = 'duplicate_table';
  end if;
  known := coalesce(known, '{"indexes": [], "indexAll": false}'::jsonb);

  for each_path in select p.value from jsonb_array_elements(index_paths) as p (value) loop
    if not exists (select from jsonb_array_elements(known -> 'indexes') as i (value) where i.value = each_path) then
      execute format(
        'create index on %s ((data #> %L::text[]), _id)',
        target,
        array(select s.value from jsonb_array_elements_text(each_path) with ordinality as s (value, ord) order by s.ord)
      );
      known := jsonb_set(known, '{indexes}', (known -> 'indexes') || jsonb_build_array(each_path));
    end if;
  end loop;
  if index_all and (known -> 'indexAll') <> 'true'::jsonb then
    execute format('create index on %s using gin (data jsonb_path_ops)', target);
    known := jsonb_set(known, '{indexAll}', 'true');
  end if;
  insert into {{schema}}.emt_collections as c (name, definition) values (collection, known)
  on conflict (name) do update set definition = excluded.definition where c.definition <> excluded.definition;
end
$function$;
