-- Adds channels, in the order of their ids. What is there already keeps its session.
--
-- channels   a JSON array of { id, name, opening, node? } with distinct ids
-- Returns those that were there already, and which instance has held them until now.

-- It returned nothing once, which a replacement cannot change.
drop function if exists {{schema}}.lambda_add_channels(jsonb);

create or replace function {{schema}}.lambda_add_channels(channels jsonb) returns table (known_id text, owner text)
language plpgsql volatile
as $function$
declare
  rest jsonb := channels;
  done text[];
begin
  loop
    -- An upsert would not tell whom it takes a channel from.
    with new as (
      insert into {{schema}}.lambda_channels
             (channel_id, channel_name, opening_data, node_id, created_at, last_interaction)
      select a.value ->> 'id', a.value ->> 'name', a.value -> 'opening', a.value ->> 'node',
             clock_timestamp(), clock_timestamp()
        from jsonb_array_elements(rest) as a (value)
       order by (a.value ->> 'id') collate "C"
      on conflict (channel_id) do nothing
      returning channel_id
    )
    select coalesce(array_agg(n.channel_id), '{}') into done from new n;
    if cardinality(done) = jsonb_array_length(rest) then return; end if;

    -- Rows are locked only when all that is new is in, so that nobody who inserts waits for one who waits for rows.
    for known_id, owner in
      with given as (
        select a.value ->> 'id' as id, a.value ->> 'name' as name, a.value -> 'opening' as opening,
               a.value ->> 'node' as node
          from jsonb_array_elements(rest) as a (value)
         where a.value ->> 'id' <> all (done)
      ), known as (
        select c.channel_id, c.node_id
          from {{schema}}.lambda_channels c
         where c.channel_id = any (array (select g.id from given g))
         order by c.channel_id
           for no key update
      )
      update {{schema}}.lambda_channels c
         set channel_name = g.name, opening_data = g.opening, node_id = g.node, last_interaction = clock_timestamp()
        from known k join given g on g.id = k.channel_id
       where c.channel_id = k.channel_id
      returning c.channel_id, k.node_id
    loop
      return next;
      done := done || known_id;
    end loop;

    -- What is left was removed between the two, and is new after all.
    select jsonb_agg(a.value) into rest
      from jsonb_array_elements(rest) as a (value)
     where a.value ->> 'id' <> all (done);
    if rest is null then return; end if;
  end loop;
end
$function$;
