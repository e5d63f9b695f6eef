-- Appends messages to the stream, in their order.
--
-- node       the id of the instance that publishes
-- messages   a JSON array of { topic, binary?, except?, length, size?, ttl? }; with size and ttl it is kept
-- payloads   all payloads, one behind the other
-- relaxed    whether a crash of the server may lose them
--
-- Returns the positions, and the epochs of those that are kept, in the order of the messages.
create or replace function {{schema.name+_publish}}(node text, messages jsonb, payloads bytea, relaxed boolean)
returns table (at bigint, kept_in text)
language plpgsql volatile
as $function$
declare
  kept_topics text[];
  held integer;
begin
  if relaxed then
    perform set_config('synchronous_commit', 'off', true);
  end if;
  perform nestbox.enter_log({{schema.name+_position:regclass}});
  kept_topics := array(
    select distinct m.value ->> 'topic' from jsonb_array_elements(messages) as m (value) where m.value ? 'size'
  );
  while cardinality(kept_topics) > 0 loop
    -- A row that is there already is written only when its limits have changed.
    perform 1
       from jsonb_array_elements(messages) as m (value)
       left join {{schema.name+_topics}} t on t.topic = m.value ->> 'topic'
      where m.value ? 'size'
        and (t.size, t.ttl_ms) is distinct from ((m.value ->> 'size')::bigint, (m.value ->> 'ttl')::float8)
      limit 1;
    if found then
      perform {{schema.name+_keep}}(messages);
    end if;
    -- Holds the history: it must not end before these messages are in it.
    select count(*) into held
      from (
        select from {{schema.name+_topics}} t where t.topic = any (kept_topics) order by t.topic for key share
      ) rows_held;
    -- One that ended while we waited for its row has to begin anew.
    exit when held = cardinality(kept_topics);
  end loop;

  return query
    with given as (
      select m.value, m.ord, sum((m.value ->> 'length')::integer) over (order by m.ord) as ends
        from jsonb_array_elements(messages) with ordinality as m (value, ord)
       order by m.ord
    ), written as (
      insert into {{schema.name+_stream}} (position, topic, origin, is_binary, except_ids, payload, expires_at)
      select nextval({{schema.name+_position:regclass}}),
             g.value ->> 'topic',
             node,
             coalesce((g.value ->> 'binary')::boolean, false),
             g.value -> 'except',
             substring(payloads from (g.ends - (g.value ->> 'length')::integer + 1)::integer
                       for (g.value ->> 'length')::integer),
             clock_timestamp() + (g.value ->> 'ttl')::float8 * interval '1 millisecond'
        from given g
       order by g.ord
      returning position, topic, expires_at
    )
    select w.position, case when w.expires_at is not null then t.epoch end
      from written w
      left join {{schema.name+_topics}} t on t.topic = w.topic
     order by w.position;
end
$function$;
