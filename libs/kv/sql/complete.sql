-- Declares the log complete from now on, after <table>_watch; returns from which revision. Null when logging has
-- ended or somebody else was faster: then call <table>_watch again.
create or replace function {{schema.table+_complete}}(expected_activation bigint) returns bigint
language sql volatile
as $function$
  update {{schema.table+_log}} l
     set oldest_revision = nestbox.log_watermark({{schema.table+_revision:regclass}}) + 1
   where l.activation = expected_activation
     and l.oldest_revision is null
     and pg_sequence_last_value({{schema.table+_watched:regclass}}) > 0
  returning l.oldest_revision
$function$;
