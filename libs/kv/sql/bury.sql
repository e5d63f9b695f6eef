-- Leaves tombstones for keys whose rows the caller has just deleted, and with them the right to their versions.
create or replace function {{schema.table+_bury}}(dead_keys text[], dead_versions bigint[]) returns void
language plpgsql volatile
as $function$
begin
  -- Before the commit, so that whoever inserts one of the keys afterwards knows of it.
  if pg_sequence_last_value({{schema.table+_deletions:regclass}}) = 0 then
    perform nextval({{schema.table+_deletions:regclass}});
  end if;
  insert into {{schema.table+_tombstones}} as b (key, version, deleted_at)
  select d.key, d.version, clock_timestamp() from unnest(dead_keys, dead_versions) as d (key, version)
  on conflict (key) do update
    set version = greatest(b.version, excluded.version),
        deleted_at = excluded.deleted_at;
end
$function$;
