-- The version for a key that the caller has just inserted: above those of all its predecessors. The caller holds the
-- new row, so whoever deleted the key before has committed, and is seen by the statements in here.
create or replace function {{schema.table+_next_version}}(new_key text) returns bigint
language plpgsql volatile
as $function$
declare
  buried bigint;
begin
  if pg_sequence_last_value({{schema.table+_deletions:regclass}}) = 0 then
    return 1;
  end if;
  if current_setting('transaction_isolation') not in ('read committed', 'read uncommitted') then
    -- A tombstone made after the transaction's snapshot cannot be seen, but run into: this fails then.
    insert into {{schema.table+_tombstones}} as b (key, version, deleted_at)
    values (new_key, 0, clock_timestamp())
    on conflict (key) do update set version = b.version;
  end if;
  select b.version into buried from {{schema.table+_tombstones}} b where b.key = new_key;
  -- Read after the tombstone: who sweeps one raises the floor first.
  return 1 + greatest(pg_sequence_last_value({{schema.table+_floor:regclass}}), buried);
end
$function$;
