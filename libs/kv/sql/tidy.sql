-- Removes what nobody needs any more: old tombstones, and old changes. Ends the logging of changes when nobody has
-- watched for long. Does nothing while another session is at it. Call it again as long as it returns true.
--
-- retention_ms   how long a change is kept at least; null when nobody in the calling process can watch
-- still_watched  whether somebody in the calling process does
-- tombstone_ms   how long a tombstone is kept
-- at_most        how many rows of each kind to remove
create or replace function {{schema.table+_tidy}}(
  retention_ms double precision,
  still_watched boolean,
  tombstone_ms double precision,
  at_most integer
) returns boolean
language plpgsql volatile
as $function$
declare
  -- So many changes of a new store are kept for those who come late.
  first_changes constant bigint := 1000;
  now_at constant timestamptz := clock_timestamp();
  retention constant interval := retention_ms * interval '1 millisecond';
  logging constant boolean := pg_sequence_last_value({{schema.table+_watched:regclass}}) > 0;
  log record;
  rows_old tid[];
  highest bigint;
  trim_to bigint;
  removed integer;
  last_removed bigint;
  more boolean := false;
begin
  select l.* into log from {{schema.table+_log}} l for update skip locked;
  if not found then
    return false;
  end if;

  select array_agg(o.ctid), max(o.version) filter (where o.dead)
    into rows_old, highest
    from (
      select b.ctid, b.version, not exists (select from {{schema.table}} t where t.key = b.key) as dead
        from {{schema.table+_tombstones}} b
       where b.deleted_at <= now_at - tombstone_ms * interval '1 millisecond'
       limit at_most
         for update skip locked
    ) o;
  if rows_old is not null then
    -- Seen by others at once, hence before the tombstones vanish.
    if highest > pg_sequence_last_value({{schema.table+_floor:regclass}}) then
      perform setval({{schema.table+_floor:regclass}}, highest);
    end if;
    delete from {{schema.table+_tombstones}} b where b.ctid = any (rows_old);
    more := cardinality(rows_old) = at_most;
  end if;

  if still_watched then
    update {{schema.table+_log}} l set watched_until = greatest(l.watched_until, now_at + retention);
  elsif log.watched_until <= now_at and logging then
    if log.oldest_revision is null then
      perform setval({{schema.table+_watched:regclass}}, 0);
      more := true;
    elsif retention_ms is null or pg_sequence_last_value({{schema.table+_revision:regclass}}) > first_changes then
      -- First it must be known to all that the log is no longer complete; then, in the next call, it may be so.
      update {{schema.table+_log}} l set oldest_revision = null, mark_revisions = '{}', mark_times = '{}';
      return true;
    end if;
  end if;

  if not logging then
    delete from {{schema.table+_changes}} c
     where c.revision in (select o.revision from {{schema.table+_changes}} o order by o.revision limit at_most);
    get diagnostics removed = row_count;
    return more or removed = at_most;
  end if;
  if log.oldest_revision is null or retention_ms is null then
    return more;
  end if;

  -- What was complete by a mark that is older than the retention could be read for so long.
  select max(m.revision)
    into trim_to
    from unnest(log.mark_revisions, log.mark_times) as m (revision, marked_at)
   where m.marked_at <= now_at - retention;
  if trim_to >= log.oldest_revision then
    with gone as (
      delete from {{schema.table+_changes}} c
       where c.revision in (
               select o.revision
                 from {{schema.table+_changes}} o
                where o.revision <= trim_to
                order by o.revision
                limit at_most
             )
      returning c.revision
    )
    select count(*), max(g.revision) into removed, last_removed from gone g;
    if removed = at_most then
      more := true;
      trim_to := last_removed;
    end if;
    update {{schema.table+_log}} l set oldest_revision = greatest(l.oldest_revision, trim_to + 1);
  end if;

  -- A few marks per retention are enough.
  if coalesce(log.mark_times[cardinality(log.mark_times)] <= now_at - retention / 8, true) then
    update {{schema.table+_log}} l
       set (mark_revisions, mark_times) = (
             select coalesce(array_agg(m.revision order by m.revision), '{}')
                      || nestbox.log_watermark({{schema.table+_revision:regclass}}),
                    coalesce(array_agg(m.marked_at order by m.revision), '{}') || now_at
               from unnest(l.mark_revisions, l.mark_times) as m (revision, marked_at)
              where m.revision >= l.oldest_revision
           );
  end if;
  return more;
end
$function$;
