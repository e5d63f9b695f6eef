-- Takes a lease that nobody holds. Returns its epoch; or a null epoch, the holder if there is one, and for how many
-- milliseconds the lease is still held (0 when somebody is just changing it: ask again). An owner that holds the lease
-- already gets it again, under a new epoch: it did not hear of the first answer.
--
-- Taking over locks the row against nestbox.assert_lease, so it does not happen while a transaction of the former
-- holder that passed the check is still open. It does not wait for that either: a locked row counts as held.
create or replace function nestbox.acquire_lease(
  lease_name text,
  new_owner text,
  ttl_ms double precision,
  out granted_epoch bigint,
  out held_by text,
  out remaining_ms double precision
)
language plpgsql volatile
as $$
declare
  ttl constant interval := ttl_ms * interval '1 millisecond';
begin
  select case when l.expires_at > clock_timestamp() then nullif(l.owner, new_owner) end,
         greatest(extract(epoch from l.expires_at - clock_timestamp()) * 1000, 0)
    into held_by, remaining_ms
    from nestbox.leases l
   where l.name = lease_name;

  if not found then
    insert into nestbox.leases as l (name, owner, epoch, acquired_at, expires_at)
    values (lease_name, new_owner, nextval('nestbox.lease_epochs'), clock_timestamp(), clock_timestamp() + ttl)
    on conflict (name) do nothing
    returning l.epoch into granted_epoch;
  elsif held_by is null then
    -- The epoch is drawn while the row is locked, so that it is higher than that of every holder before.
    perform from nestbox.leases l
      where l.name = lease_name
        and (l.owner is null or l.owner = new_owner or l.expires_at <= clock_timestamp())
      for update skip locked;
    if found then
      update nestbox.leases l
         set owner = new_owner,
             epoch = nextval('nestbox.lease_epochs'),
             acquired_at = clock_timestamp(),
             expires_at = clock_timestamp() + ttl
       where l.name = lease_name
      returning l.epoch into granted_epoch;
    end if;
  end if;

  if granted_epoch is not null then
    held_by := new_owner;
    remaining_ms := ttl_ms;
  elsif held_by is null then
    remaining_ms := 0;
  end if;
end
$$;
