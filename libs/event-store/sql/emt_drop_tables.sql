-- Drops the tables that are there, collections and others.
create or replace function {{schema}}.emt_drop_tables(names text[]) returns void
language plpgsql volatile
as $function$
declare
  each_name text;
begin
  perform pg_advisory_xact_lock(hashtext('nestbox event store'), hashtext({{schema:literal}}));
  for each_name in select n.name from unnest(names) as n (name) order by n.name collate "C" loop
    execute format('drop table if exists %I.%I', {{schema:literal}}, each_name);
    delete from {{schema}}.emt_collections c where c.name = each_name;
  end loop;
end
$function$;
