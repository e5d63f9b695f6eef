-- Stores entries, whatever was there before.
--
-- put_keys     distinct, in ascending order: in this order rows are locked, by all who lock several
-- put_values   an array, one value for each key
-- ttls_ms      one for each key, null for an entry without end; or empty when none has an end
-- keep_states  how many states of each key the history keeps; 0 to record none
--
-- Returns the new versions in the order of the keys, separated by commas; negative when the changes were logged.
create or replace function {{schema.table+_put}}(
  put_keys text[],
  put_values jsonb,
  ttls_ms double precision[],
  keep_states integer
) returns text
language plpgsql volatile
as $function$
declare
  first_version constant bigint := 1 + pg_sequence_last_value({{schema.table+_floor:regclass}});
  versions text;
  created_keys text[];
  created_key text;
  logged boolean;
  new_versions bigint[];
begin
  with written as (
    insert into {{schema.table}} as t (key, value, version, created_at, updated_at, expires_at)
    select i.key, i.value, first_version, statement_timestamp(), statement_timestamp(),
           statement_timestamp() + i.ttl_ms * interval '1 millisecond'
      from rows from (unnest(put_keys), jsonb_array_elements(put_values), unnest(ttls_ms)) as i (key, value, ttl_ms)
    on conflict (key) do update
      set value = excluded.value,
          version = t.version + 1,
          created_at = case when t.expires_at <= clock_timestamp() then excluded.created_at else t.created_at end,
          updated_at = greatest(excluded.updated_at, t.updated_at),
          expires_at = excluded.expires_at
    -- A row that was there has been locked by us, which leaves a mark in xmax.
    returning t.key, t.version, t.xmax = 0 as created
  )
  select string_agg(w.version::text, ','), array_agg(w.key) filter (where w.created)
    into versions, created_keys
    from written w;

  if created_keys is not null and pg_sequence_last_value({{schema.table+_deletions:regclass}}) > 0 then
    created_keys := array(
      select c.key
        from unnest(created_keys) as c (key)
       where (select b.version from {{schema.table+_tombstones}} b where b.key = c.key) is not null
          -- It may have been swept since we read the floor; or exist without being seen.
          or pg_sequence_last_value({{schema.table+_floor:regclass}}) >= first_version
          or current_setting('transaction_isolation') not in ('read committed', 'read uncommitted')
    );
    foreach created_key in array created_keys loop
      update {{schema.table}} t set version = {{schema.table+_next_version}}(created_key) where t.key = created_key;
    end loop;
    if cardinality(created_keys) > 0 then
      select string_agg((select t.version from {{schema.table}} t where t.key = k.key)::text, ',' order by k.ord)
        into versions
        from unnest(put_keys) with ordinality as k (key, ord);
    end if;
  end if;

  -- Asked after the rows were locked: see <table>_watch.
  logged := pg_sequence_last_value({{schema.table+_watched:regclass}}) > 0;
  if not logged and keep_states = 0 then
    return versions;
  end if;
  new_versions := string_to_array(versions, ',')::bigint[];

  if keep_states > 0 then
    insert into {{schema.table+_history}} (key, version, value, deleted, at)
    select i.key, i.version, i.value, false, clock_timestamp()
      from rows from (unnest(put_keys), unnest(new_versions), jsonb_array_elements(put_values))
             as i (key, version, value);
    perform {{schema.table+_forget}}(put_keys, new_versions, keep_states);
  end if;

  if logged then
    perform nestbox.enter_log({{schema.table+_revision:regclass}});
    insert into {{schema.table+_changes}} (revision, key, version, type, value, at)
    select nextval({{schema.table+_revision:regclass}}), i.key, i.version, 'set', i.value, clock_timestamp()
      from rows from (unnest(put_keys), unnest(new_versions), jsonb_array_elements(put_values))
             as i (key, version, value);
    versions := '-' || replace(versions, ',', ',-');
  end if;
  return versions;
end
$function$;
