-- The guard of a write that is only allowed to the holder of a lease: call it in the same transaction, before the
-- write. It fails unless the lease is held with this epoch, and keeps others from taking it over until the
-- transaction is over. Renewals are not held up, since they change no key: hence `for key share`.
create or replace function nestbox.assert_lease(lease_name text, lease_epoch bigint) returns void
language plpgsql volatile
as $$
begin
  perform from nestbox.leases l
    where l.name = lease_name
      and l.epoch = lease_epoch
      and l.owner is not null
      and l.expires_at > clock_timestamp()
    for key share;
  if not found then
    raise exception 'lease "%" is no longer held with epoch %', lease_name, lease_epoch
      using errcode = 'NB001',
            hint = 'It ran out or was released, and another may hold it. Stop the work that it protected.';
  end if;
end
$$;
