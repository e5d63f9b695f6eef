-- Asks for the log to be kept up until `retention_ms` from now.
--
-- Changes are logged only while somebody may want to read them, since that makes a write dearer. A writer looks at
-- the sequence <table>_watched after it has locked its rows, and thereby the table. So when logging begins, those who
-- may have missed it are among those who hold a lock on the table just after: when they are done, the log is
-- complete from there on.
--
-- oldest      every change from this revision on is in the log; null when logging has only just begun. Then wait
--             until none of `writers` holds its lock any more, and say so with <table>_complete.
-- activation  what to give to <table>_complete
-- writers     virtual transaction ids, separated by commas
create or replace function {{schema.table+_watch}}(
  retention_ms double precision,
  out oldest bigint,
  out activation bigint,
  out writers text
)
language plpgsql volatile
as $function$
#variable_conflict use_column
declare
  log record;
begin
  update {{schema.table+_log}} l
     set watched_until = greatest(l.watched_until, clock_timestamp() + retention_ms * interval '1 millisecond')
  returning l.oldest_revision, l.activation into log;
  oldest := log.oldest_revision;
  activation := log.activation;
  if oldest is not null then
    return;
  end if;

  if pg_sequence_last_value({{schema.table+_watched:regclass}}) = 0 then
    update {{schema.table+_log}} l set activation = l.activation + 1 returning l.activation into activation;
    perform setval({{schema.table+_watched:regclass}}, 1);
  end if;
  -- So that the log begins above every revision that somebody may know from before.
  perform nextval({{schema.table+_revision:regclass}});
  select string_agg(distinct k.virtualtransaction, ',')
    into writers
    from pg_locks k
   where k.relation = {{schema.table:regclass}}
     and k.database = (select d.oid from pg_database d where d.datname = current_database())
     and k.mode in ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
     and k.granted
     and k.pid <> pg_backend_pid();
end
$function$;
