-- The highest position of an ordered log below which nothing can appear any more: every position up to it belongs to
-- a transaction that is over. A statement that begins after this one sees all of them that were committed.
--
-- The order of the two reads matters. A writer that takes its lock after pg_locks was read draws positions above the
-- last value that was read before. Each statement in here has a snapshot of its own.
--
-- A transaction that drew positions before the first read and after it, and that was over at the second, would be cut
-- in two. When nothing was drawn between the reads there was none, so they are done again until that is so; a log that
-- is written to without a pause gets the last bound, which is as safe, but may cut.
create or replace function nestbox.log_watermark(log regclass) returns bigint
language plpgsql volatile
as $$
declare
  newest bigint;
  last_newest bigint;
  lowest_held bigint;
begin
  if pg_catalog.pg_is_in_recovery() then
    raise exception 'the watermark of a log can only be read on the primary server'
      using errcode = 'object_not_in_prerequisite_state',
            hint = 'A standby does not know which transactions of the primary are still writing.';
  end if;
  newest := pg_catalog.pg_sequence_last_value(log);
  if newest is null then
    raise exception 'sequence % cannot order a log', log
      using errcode = 'object_not_in_prerequisite_state',
            hint = 'Create it with minvalue 0 start 0, draw one value with nextval(), and grant usage on it.';
  end if;
  for attempt in 1..10 loop
    -- A key holds the low 32 bits of a last value; the value itself is the nearest one with these bits.
    select min(newest + (l.objid::bigint - newest)::bit(32)::int4)
      into lowest_held
      from pg_catalog.pg_locks l
     where l.locktype = 'advisory'
       and l.database = (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database())
       and l.classid = log::oid
       and l.objsubid = 2
       and l.granted;
    last_newest := pg_catalog.pg_sequence_last_value(log);
    exit when last_newest = newest or attempt = 10;
    newest := last_newest;
  end loop;
  return least(newest, lowest_held);
end
$$;
