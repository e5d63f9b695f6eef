-- Runs operations of any kind, which may have conditions.
--
-- lock_keys    the distinct keys of the operations, in ascending order, as for <table>_put
-- operations   an array of objects:
--                type      set, delete, increment or check
--                key
--                value     of a set
--                expected  the version that the entry has to have: 0 for no entry, absent for any
--                ttl       in ms; absent for an entry without end
--                keep      true when a set keeps the expiry that it finds (an increment always does)
--                by        of an increment
-- all_or_none  whether nothing is done when an operation is refused. No key is written twice then.
-- keep_states  as for <table>_put
--
-- Returns a row for each operation that was done or refused; when nothing was done, only for those refused.
--   outcome      done; conflict, with the version found; or no counter, with the value found
--   new_version  null when there was nothing to delete, or no entry in conflict
--   detail       the sum of an increment, or the value that is no counter, as JSON
create or replace function {{schema.table+_apply}}(
  lock_keys text[],
  operations jsonb,
  all_or_none boolean,
  keep_states integer
) returns table (item integer, outcome text, new_version bigint, detail text, logged boolean)
language plpgsql volatile
as $function$
#variable_conflict use_column
declare
  smallest constant numeric := -9223372036854775808;
  largest constant numeric := 9223372036854775807;
  placeholders text[];
  placeholder text;
  op record;
  entry record;
  locked_at timestamptz;
  next_value jsonb;
  next_expiry timestamptz;
  refused boolean := false;
begin
  -- Locks all keys in one pass, also those without a row: these get one that has expired for ever, with version 0.
  with locked as (
    insert into {{schema.table}} as t (key, value, version, expires_at)
    select k.key, 'null', 0, '-infinity' from unnest(lock_keys) as k (key)
    on conflict (key) do update set version = t.version where false
    returning t.key
  )
  select array_agg(l.key) into placeholders from locked l;

  locked_at := clock_timestamp();
  -- Asked after the rows were locked: see <table>_watch.
  logged := pg_sequence_last_value({{schema.table+_watched:regclass}}) > 0;
  if logged then
    perform nestbox.enter_log({{schema.table+_revision:regclass}});
  end if;

  -- With all_or_none, the first pass only looks, and the second only writes.
  for pass in (case when all_or_none then 1 else 2 end) .. 2 loop
    exit when refused;
    for op in
      select o.ord::integer as ord, o.item->>'type' as type, o.item->>'key' as key, o.item->'value' as value,
             (o.item->'expected')::bigint as expected,
             (o.item->'ttl')::double precision * interval '1 millisecond' as ttl,
             coalesce((o.item->'keep')::boolean, false) as keep,
             (o.item->'by')::numeric as amount
        from jsonb_array_elements(operations) with ordinality as o (item, ord)
       order by o.ord
    loop
      item := op.ord;
      new_version := null;
      detail := null;
      select t.value, t.version, t.expires_at, t.expires_at is null or t.expires_at > locked_at as live
        into entry
        from {{schema.table}} t
       where t.key = op.key;

      if pass = 1 or not all_or_none then
        outcome := case
          when op.expected <> (case when entry.live then entry.version else 0 end) then 'conflict'
          when op.type <> 'increment' or not entry.live then 'done'
          when jsonb_typeof(entry.value) <> 'number' then 'no counter'
          when scale(entry.value::numeric) > 0
            or entry.value::numeric not between smallest and largest
            or entry.value::numeric + op.amount not between smallest and largest then 'no counter'
          else 'done'
        end;
        if outcome <> 'done' then
          refused := true;
          if outcome = 'no counter' then
            detail := entry.value::text;
          elsif entry.live then
            new_version := entry.version;
          end if;
          return next;
          continue;
        end if;
      end if;

      continue when pass = 1 or op.type = 'check';
      outcome := 'done';
      if op.type = 'delete' then
        if entry.live then
          new_version := entry.version + 1;
          next_value := null;
          delete from {{schema.table}} t where t.key = op.key;
          perform {{schema.table+_bury}}(array[op.key], array[new_version]);
        end if;
      else
        new_version := case when entry.version = 0 then {{schema.table+_next_version}}(op.key)
                            else entry.version + 1 end;
        next_value := op.value;
        if op.type = 'increment' then
          next_value := to_jsonb(op.amount + (case when entry.live then entry.value else '0' end)::numeric);
          detail := next_value::text;
        end if;
        next_expiry := case when entry.live and (op.keep or op.type = 'increment') then entry.expires_at
                            else locked_at + op.ttl end;
        update {{schema.table}} t
           set value = next_value,
               version = new_version,
               created_at = case when entry.live then t.created_at else locked_at end,
               updated_at = locked_at,
               expires_at = next_expiry
         where t.key = op.key;
      end if;

      if new_version is not null then
        if logged then
          insert into {{schema.table+_changes}} (revision, key, version, type, value, at)
          values (nextval({{schema.table+_revision:regclass}}), op.key, new_version,
                  case when op.type = 'delete' then 'delete' else 'set' end, next_value, locked_at);
        end if;
        if keep_states > 0 then
          insert into {{schema.table+_history}} (key, version, value, deleted, at)
          values (op.key, new_version, next_value, op.type = 'delete', locked_at);
          perform {{schema.table+_forget}}(array[op.key], array[new_version], keep_states);
        end if;
      end if;
      return next;
    end loop;
  end loop;

  foreach placeholder in array coalesce(placeholders, '{}') loop
    delete from {{schema.table}} t where t.key = placeholder and t.version = 0;
  end loop;
end
$function$;
