-- Starts the time to live of several leases again, in one update. Returns those that were still held; a lease that
-- has run out is not brought back, even if nobody else has taken it. Rows are locked in the order of their names, so
-- that two of these never wait for each other in a circle.
create or replace function nestbox.renew_leases(lease_names text[], epochs bigint[], ttls_ms double precision[])
returns table (renewed_name text, renewed_epoch bigint)
language sql volatile
as $$
  with held as materialized (
    select l.name, r.ttl_ms
      from unnest(lease_names, epochs, ttls_ms) as r (name, epoch, ttl_ms)
      join nestbox.leases l on l.name = r.name and l.epoch = r.epoch
     where l.owner is not null
       and l.expires_at > clock_timestamp()
     order by l.name
       for no key update of l
  )
  update nestbox.leases l
     set expires_at = clock_timestamp() + h.ttl_ms * interval '1 millisecond'
    from held h
   where l.name = h.name
  returning l.name, l.epoch
$$;
