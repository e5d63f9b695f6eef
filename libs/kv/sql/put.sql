-- Stores entries, whatever was there before.
--
-- put_keys     distinct, in ascending order: in this order rows are locked, by all who lock several
-- put_values   an array, one value for each key
-- ttls_ms      one for each key, null for an entry without end; or empty when none has an end
-- keep_states  how many states of each key the history keeps; 0 to record none
--
-- Returns the new versions in the order of the keys, separated by commas, and whether the changes were logged.
create or replace function {{schema.table+_put}}(
  put_keys text[],
  put_values jsonb,
  ttls_ms double precision[],
  keep_states integer,
  out versions text,
  out logged boolean
)
language plpgsql volatile
as $function$
declare
  new_versions bigint[];
  created boolean[];
  due bigint;
begin
  with written as (
    insert into {{schema.table}} as t (key, value, version, created_at, updated_at, expires_at)
    select i.key, i.value,
           case when pg_sequence_last_value({{schema.table+_deletions:regclass}}) = 0 then 1
                else 1 + greatest(pg_sequence_last_value({{schema.table+_floor:regclass}}),
                                  (select b.version from {{schema.table+_tombstones}} b where b.key = i.key)) end,
           statement_timestamp(), statement_timestamp(),
           statement_timestamp() + i.ttl_ms * interval '1 millisecond'
      from rows from (unnest(put_keys), jsonb_array_elements(put_values), unnest(ttls_ms)) as i (key, value, ttl_ms)
    on conflict (key) do update
      set value = excluded.value,
          version = t.version + 1,
          created_at = case when t.expires_at <= clock_timestamp() then excluded.created_at else t.created_at end,
          updated_at = greatest(excluded.updated_at, t.updated_at),
          expires_at = excluded.expires_at
    -- A row that was there has been locked by us, which leaves a mark in xmax.
    returning t.version, t.xmax = 0 as created
  )
  select array_agg(w.version), array_agg(w.created) into new_versions, created from written w;

  -- Keys that were deleted after the statement above began have a tombstone that it did not see.
  if true = any (created) and pg_sequence_last_value({{schema.table+_deletions:regclass}}) > 0 then
    for i in 1 .. cardinality(put_keys) loop
      if created[i] then
        due := {{schema.table+_next_version}}(put_keys[i]);
        if due > new_versions[i] then
          new_versions[i] := due;
          update {{schema.table}} t set version = due where t.key = put_keys[i];
        end if;
      end if;
    end loop;
  end if;

  -- Asked after the rows were locked: see <table>_watch.
  logged := pg_sequence_last_value({{schema.table+_watched:regclass}}) > 0;
  if logged then
    perform nestbox.enter_log({{schema.table+_revision:regclass}});
    insert into {{schema.table+_changes}} (revision, key, version, type, value, at)
    select nextval({{schema.table+_revision:regclass}}), i.key, i.version, 'set', i.value, clock_timestamp()
      from rows from (unnest(put_keys), unnest(new_versions), jsonb_array_elements(put_values))
             as i (key, version, value);
  end if;

  if keep_states > 0 then
    insert into {{schema.table+_history}} (key, version, value, deleted, at)
    select i.key, i.version, i.value, false, clock_timestamp()
      from rows from (unnest(put_keys), unnest(new_versions), jsonb_array_elements(put_values))
             as i (key, version, value);
    perform {{schema.table+_forget}}(put_keys, new_versions, keep_states);
  end if;

  versions := array_to_string(new_versions, ',');
end
$function$;
