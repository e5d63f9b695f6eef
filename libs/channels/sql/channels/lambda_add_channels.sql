-- Adds channels, in the order of their ids. What is there already keeps its session.
--
-- channels   a JSON array of { id, name, opening, node? } with distinct ids
create or replace function {{schema}}.lambda_add_channels(channels jsonb) returns void
language sql volatile
as $function$
  insert into {{schema}}.lambda_channels as c
         (channel_id, channel_name, opening_data, node_id, created_at, last_interaction)
  select a.value ->> 'id', a.value ->> 'name', a.value -> 'opening', a.value ->> 'node',
         clock_timestamp(), clock_timestamp()
    from jsonb_array_elements(channels) as a (value)
   order by (a.value ->> 'id') collate "C"
  on conflict (channel_id) do update
    set channel_name = excluded.channel_name,
        opening_data = excluded.opening_data,
        node_id = excluded.node_id,
        last_interaction = excluded.last_interaction;
$function$;
