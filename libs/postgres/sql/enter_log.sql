-- Announces that the current transaction will draw positions from the sequence of an ordered log. Call it before
-- locking the row that orders the items, and before nextval(). Calling it again in the same transaction is free.
--
-- The announcement is a shared advisory lock that lives as long as the transaction, so writers never wait for each
-- other. Its key is the sequence's last value: every position that the transaction draws will be greater.
create or replace function nestbox.enter_log(log regclass) returns void
language plpgsql volatile
as $$
declare
  -- A setting local to the transaction remembers that the lock is held. A rollback to a savepoint undoes both.
  marker constant text := 'nestbox.log_' || log::oid::text;
  this_transaction constant text := pg_catalog.pg_current_xact_id()::text;
  newest bigint;
begin
  if pg_catalog.current_setting(marker, true) = this_transaction then
    return;
  end if;
  newest := pg_catalog.pg_sequence_last_value(log);
  if newest is null then
    raise exception 'sequence % cannot order a log', log
      using errcode = 'object_not_in_prerequisite_state',
            hint = 'Create it with minvalue 0 start 0, draw one value with nextval(), and grant usage on it.';
  end if;
  perform pg_catalog.pg_advisory_xact_lock_shared(log::oid::int4, newest::bit(32)::int4);
  perform pg_catalog.set_config(marker, this_transaction, true);
end
$$;
