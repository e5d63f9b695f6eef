-- Deletes some of the entries whose time is up, the longest expired first; returns how many. Entries that are locked
-- are left to the next sweep, and those that were given a new expiry meanwhile survive.
create or replace function {{schema.table+_sweep}}(at_most integer, out swept integer, out logged boolean)
language plpgsql volatile
as $function$
declare
  due_by constant timestamptz := clock_timestamp();
  rows_due tid[];
  dead_keys text[];
  dead_versions bigint[];
begin
  select array_agg(d.ctid)
    into rows_due
    from (
      select t.ctid
        from {{schema.table}} t
       where t.expires_at <= due_by
       order by t.expires_at
       limit at_most
         for update skip locked
    ) d;

  -- A statement of its own, with a snapshot that knows the rows as they were when they were locked.
  with gone as (
    delete from {{schema.table}} t
     where t.ctid = any (rows_due)
       and t.expires_at <= due_by
    returning t.key, t.version + 1 as version
  )
  select array_agg(g.key), array_agg(g.version) into dead_keys, dead_versions from gone g;

  swept := coalesce(cardinality(dead_keys), 0);
  logged := pg_sequence_last_value({{schema.table+_watched:regclass}}) > 0;
  if swept = 0 then
    return;
  end if;
  perform {{schema.table+_bury}}(dead_keys, dead_versions);
  if logged then
    perform nestbox.enter_log({{schema.table+_revision:regclass}});
    insert into {{schema.table+_changes}} (revision, key, version, type, at)
    select nextval({{schema.table+_revision:regclass}}), g.key, g.version, 'expire', clock_timestamp()
      from unnest(dead_keys, dead_versions) as g (key, version);
  end if;
end
$function$;
