-- Takes channels away from instances that are dead: their leases have ended, or they are not registered at all.
--
-- max_rows   at most so many channels in one call
--
-- Returns a row for each channel that was removed, and one without a channel for each instance that is done with. An
-- instance belongs to one caller at a time: others pass over its row.
create or replace function {{schema}}.lambda_reap(max_rows integer) returns table (dead_node text, removed text)
language plpgsql volatile
as $function$
declare
  candidate text;
  left_over integer := max_rows;
  count_of_rows integer;
begin
  for candidate in
    select n.node_id
      from {{schema}}.lambda_channel_nodes n
     where n.expires_at <= clock_timestamp()
     order by n.node_id
       for update skip locked
  loop
    exit when left_over <= 0;
    return query
      with locked as (
        select c.channel_id
          from {{schema}}.lambda_channels c
         where c.node_id = candidate
         order by c.channel_id
         limit left_over
           for update
      )
      delete from {{schema}}.lambda_channels c using locked l where c.channel_id = l.channel_id
      returning candidate, c.channel_id;
    get diagnostics count_of_rows = row_count;
    left_over := left_over - count_of_rows;
    if left_over > 0 then
      delete from {{schema}}.lambda_channel_nodes n where n.node_id = candidate;
      dead_node := candidate;
      removed := null;
      return next;
    else
      -- Some of its channels are gone, so a sign of life comes too late for it.
      update {{schema}}.lambda_channel_nodes n set expires_at = '-infinity' where n.node_id = candidate;
    end if;
  end loop;
end
$function$;
