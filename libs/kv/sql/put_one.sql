-- <table>_put for a single entry without history, with as little work as possible: a write that nobody watches shall
-- cost hardly more than a plain upsert. Returns the new version, negative when the change was logged.
create or replace function {{schema.table+_put_one}}(put_key text, put_value jsonb, ttl_ms double precision)
returns bigint
language plpgsql volatile
as $function$
declare
  new_version bigint;
  created boolean;
  due bigint;
begin
  insert into {{schema.table}} as t (key, value, version, created_at, updated_at, expires_at)
  values (put_key, put_value, 1, statement_timestamp(), statement_timestamp(),
          statement_timestamp() + ttl_ms * interval '1 millisecond')
  on conflict (key) do update
    set value = excluded.value,
        version = t.version + 1,
        created_at = case when t.expires_at <= clock_timestamp() then excluded.created_at else t.created_at end,
        updated_at = greatest(excluded.updated_at, t.updated_at),
        expires_at = excluded.expires_at
  -- A row that was there has been locked by us, which leaves a mark in xmax.
  returning t.version, t.xmax = 0 into new_version, created;

  if created and pg_sequence_last_value({{schema.table+_deletions:regclass}}) > 0 then
    due := {{schema.table+_next_version}}(put_key);
    if due > 1 then
      new_version := due;
      update {{schema.table}} t set version = due where t.key = put_key;
    end if;
  end if;

  -- Asked after the row was locked: see <table>_watch.
  if pg_sequence_last_value({{schema.table+_watched:regclass}}) > 0 then
    perform nestbox.enter_log({{schema.table+_revision:regclass}});
    insert into {{schema.table+_changes}} (revision, key, version, type, value, at)
    values (nextval({{schema.table+_revision:regclass}}), put_key, new_version, 'set', put_value, clock_timestamp());
    return -new_version;
  end if;
  return new_version;
end
$function$;
