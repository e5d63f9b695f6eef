-- Removes channels, with their subscriptions. Rows are locked in the order of their ids. Returns those that were removed.
--
-- of_node   only those that this instance holds; null for all

-- It removed whatever it was given once.
drop function if exists {{schema}}.lambda_remove_channels(text[]);

create or replace function {{schema}}.lambda_remove_channels(ids text[], of_node text default null) returns setof text
language sql volatile
as $function$
  with locked as (
    select c.channel_id
      from {{schema}}.lambda_channels c
     where c.channel_id = any (ids) and (of_node is null or c.node_id = of_node)
     order by c.channel_id
       for update
  )
  delete from {{schema}}.lambda_channels c using locked l where c.channel_id = l.channel_id
  returning c.channel_id;
$function$;
