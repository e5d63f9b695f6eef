-- Ends subscriptions, the rows in the order of their keys. Returns the numbers, from 1, of those that were there.
create or replace function {{schema}}.lambda_unsubscribe(ids text[], topics text[]) returns setof bigint
language sql volatile
as $function$
  with given as (
    select g.id, g.topic, g.ord from unnest(ids, topics) with ordinality as g (id, topic, ord)
  ), alive as (
    -- Whoever removes a channel removes its subscriptions in an order that we do not know.
    select c.channel_id
      from {{schema}}.lambda_channels c
     where c.channel_id = any (ids)
     order by c.channel_id
       for key share
  ), locked as (
    select s.channel_id, s.topic
      from {{schema}}.lambda_channel_subscriptions s
     where (s.channel_id, s.topic) in (select a.channel_id, g.topic from given g join alive a on a.channel_id = g.id)
     order by s.channel_id, s.topic
       for update
  ), ended as (
    delete from {{schema}}.lambda_channel_subscriptions s
     using locked l
     where s.channel_id = l.channel_id and s.topic = l.topic
    returning s.channel_id, s.topic
  )
  select g.ord from given g join ended e on e.channel_id = g.id and e.topic = g.topic;
$function$;
