-- Starts the time to live of several leases again, in one update. Returns those that were still held; a lease that
-- has run out is not brought back, even if nobody else has taken it.
create or replace function nestbox.renew_leases(lease_names text[], epochs bigint[], ttls_ms double precision[])
returns table (renewed_name text, renewed_epoch bigint)
language sql volatile
as $$
  update nestbox.leases l
     set expires_at = clock_timestamp() + r.ttl_ms * interval '1 millisecond'
    from unnest(lease_names, epochs, ttls_ms) as r (name, epoch, ttl_ms)
   where l.name = r.name
     and l.epoch = r.epoch
     and l.owner is not null
     and l.expires_at > clock_timestamp()
  returning l.name, l.epoch
$$;
