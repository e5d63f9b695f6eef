-- Registers the owners of channels that are not registered, with leases that have ended, so that they are reaped. Goes
-- from owner to owner through the index. A channel that is being added waits for its owner's registration, not we.
create or replace function {{schema}}.lambda_adopt_orphans() returns void
language sql volatile
as $function$
  with recursive owners as (
    (select c.node_id from {{schema}}.lambda_channels c where c.node_id is not null order by c.node_id limit 1)
    union all
    select (select c.node_id from {{schema}}.lambda_channels c where c.node_id > o.node_id order by c.node_id limit 1)
      from owners o
     where o.node_id is not null
  )
  insert into {{schema}}.lambda_channel_nodes (node_id, expires_at)
  select o.node_id, '-infinity'
    from owners o
   where o.node_id is not null
  on conflict (node_id) do nothing;
$function$;
