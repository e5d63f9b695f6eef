-- Sets sessions. Rows are locked in the order of their ids.
--
-- sessions   a JSON array of { id, session, user } with distinct ids; null ends a session
--
-- Returns the ids that exist.
create or replace function {{schema}}.lambda_set_sessions(sessions jsonb) returns setof text
language sql volatile
as $function$
  with given as (
    select a.value ->> 'id' as id, nullif(a.value -> 'session', 'null') as session, a.value ->> 'user' as user_id
      from jsonb_array_elements(sessions) as a (value)
  ), locked as (
    select c.channel_id
      from {{schema}}.lambda_channels c
     -- Not `in (select ...)`: that is expected to be 100 ids, for which much larger tables are scanned.
     where c.channel_id = any (array (select g.id from given g))
     order by c.channel_id
       for no key update
  )
  update {{schema}}.lambda_channels c
     set user_session = g.session, user_id = g.user_id, last_interaction = clock_timestamp()
    from locked l join given g on g.id = l.channel_id
   where c.channel_id = l.channel_id
  returning c.channel_id;
$function$;
