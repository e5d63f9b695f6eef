-- Removes channels, with their subscriptions. Rows are locked in the order of their ids. Returns those that were there.
create or replace function {{schema}}.lambda_remove_channels(ids text[]) returns setof text
language sql volatile
as $function$
  with locked as (
    select c.channel_id from {{schema}}.lambda_channels c where c.channel_id = any (ids) order by c.channel_id for update
  )
  delete from {{schema}}.lambda_channels c using locked l where c.channel_id = l.channel_id
  returning c.channel_id;
$function$;
