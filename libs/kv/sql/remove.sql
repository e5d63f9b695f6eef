-- Deletes entries, whatever their version.
--
-- remove_keys  distinct, in ascending order, as for <table>_put
-- keep_states  as for <table>_put
--
-- Returns how many there were, at which positions of `remove_keys` (from 1 on, separated by commas), and whether the
-- changes were logged.
create or replace function {{schema.table+_remove}}(
  remove_keys text[],
  keep_states integer,
  out removed integer,
  out positions text,
  out logged boolean
)
language plpgsql volatile
as $function$
declare
  rows_locked tid[];
  dead_keys text[];
  new_versions bigint[];
begin
  select array_agg(l.ctid)
    into rows_locked
    from unnest(remove_keys) as k (key)
   cross join lateral (select t.ctid from {{schema.table}} t where t.key = k.key for update) l;

  -- A statement of its own, with a snapshot that knows the rows as they were when they were locked.
  with gone as (
    delete from {{schema.table}} t
     where t.ctid = any (rows_locked)
       and (t.expires_at is null or t.expires_at > clock_timestamp())
    returning t.key, t.version + 1 as version
  )
  select array_agg(g.key), array_agg(g.version), string_agg(k.ord::text, ',')
    into dead_keys, new_versions, positions
    from gone g
    join unnest(remove_keys) with ordinality as k (key, ord) on k.key = g.key;

  removed := coalesce(cardinality(dead_keys), 0);
  logged := pg_sequence_last_value({{schema.table+_watched:regclass}}) > 0;
  if removed = 0 then
    return;
  end if;
  perform {{schema.table+_bury}}(dead_keys, new_versions);
  if logged then
    perform nestbox.enter_log({{schema.table+_revision:regclass}});
    insert into {{schema.table+_changes}} (revision, key, version, type, at)
    select nextval({{schema.table+_revision:regclass}}), g.key, g.version, 'delete', clock_timestamp()
      from unnest(dead_keys, new_versions) as g (key, version);
  end if;
  if keep_states > 0 then
    insert into {{schema.table+_history}} (key, version, deleted, at)
    select g.key, g.version, true, clock_timestamp() from unnest(dead_keys, new_versions) as g (key, version);
    perform {{schema.table+_forget}}(dead_keys, new_versions, keep_states);
  end if;
end
$function$;
