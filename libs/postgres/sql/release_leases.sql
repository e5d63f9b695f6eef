-- Gives up leases before their time. Returns those that were still held. The rows stay, for nestbox.sweep_leases.
create or replace function nestbox.release_leases(lease_names text[], epochs bigint[])
returns table (released_name text, released_epoch bigint)
language sql volatile
as $$
  with held as materialized (
    select l.name
      from unnest(lease_names, epochs) as r (name, epoch)
      join nestbox.leases l on l.name = r.name and l.epoch = r.epoch
     where l.owner is not null
       and l.expires_at > clock_timestamp()
     order by l.name
       for no key update of l
  )
  update nestbox.leases l
     set owner = null,
         expires_at = clock_timestamp()
    from held h
   where l.name = h.name
  returning l.name, l.epoch
$$;
