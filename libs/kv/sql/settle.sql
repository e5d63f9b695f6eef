-- What is left to do for an entry that was just inserted (`created`) or updated, in the same statement: see that its
-- version is above those of its predecessors, and log the change. Returns the version, negative when it was logged.
--
-- The statement calls it only when there is something to do, so that a write that nobody watches costs hardly more
-- than a plain upsert.
create or replace function {{schema.table+_settle}}(
  put_key text,
  put_version bigint,
  put_value jsonb,
  created boolean
) returns bigint
language plpgsql volatile
as $function$
declare
  new_version bigint := put_version;
begin
  if created then
    new_version := greatest(put_version, {{schema.table+_next_version}}(put_key));
    if new_version > put_version then
      update {{schema.table}} t set version = new_version where t.key = put_key;
    end if;
  end if;
  if pg_sequence_last_value({{schema.table+_watched:regclass}}) = 0 then
    return new_version;
  end if;
  perform nestbox.enter_log({{schema.table+_revision:regclass}});
  insert into {{schema.table+_changes}} (revision, key, version, type, value, at)
  values (nextval({{schema.table+_revision:regclass}}), put_key, new_version, 'set', put_value, clock_timestamp());
  return -new_version;
end
$function$;
