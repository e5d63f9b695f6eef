-- Subscribes channels, the rows in the order of their ids. Returns the channels that exist, which are subscribed now.
create or replace function {{schema}}.lambda_subscribe(ids text[], topics text[]) returns setof text
language sql volatile
as $function$
  with given as (
    select distinct g.id, g.topic from unnest(ids, topics) as g (id, topic)
  ), alive as (
    -- They must not be removed before this is committed.
    select c.channel_id
      from {{schema}}.lambda_channels c
     where c.channel_id = any (ids)
     order by c.channel_id
       for key share
  ), subscribed as (
    insert into {{schema}}.lambda_channel_subscriptions (channel_id, topic)
    select g.id, g.topic
      from given g join alive a on a.channel_id = g.id
     order by g.id collate "C", g.topic collate "C"
    on conflict (channel_id, topic) do nothing
  )
  select a.channel_id from alive a;
$function$;
