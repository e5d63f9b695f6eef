-- Deletes some of the rows whose lease ended long ago; returns how many. Nothing depends on them, since epochs grow
-- for ever. Rows in use are skipped, and so are those that were taken again.
create or replace function nestbox.sweep_leases(older_than interval, at_most integer) returns integer
language sql volatile
as $$
  with swept as (
    delete from nestbox.leases l
     where l.ctid = any (array(
             select o.ctid
               from nestbox.leases o
              where o.expires_at < clock_timestamp() - older_than
              limit at_most
                for update skip locked
           ))
       and l.expires_at < clock_timestamp() - older_than
    returning 1
  )
  select count(*)::integer from swept
$$;
