-- Makes sure that topics have a history of that size and time, in the order of their names, so that two who do the
-- same never wait for each other in a circle.
create or replace function {{schema.name+_keep}}(messages jsonb) returns void
language sql volatile
as $function$
  insert into {{schema.name+_topics}} as t (topic, size, ttl_ms)
  select distinct on (m.topic) m.topic, m.size, m.ttl
    from (
      select (g.value ->> 'topic') collate "C" as topic, (g.value ->> 'size')::bigint as size,
             (g.value ->> 'ttl')::float8 as ttl, g.ord
        from jsonb_array_elements(messages) with ordinality as g (value, ord)
       where g.value ? 'size'
    ) m
   order by m.topic, m.ord desc
  on conflict (topic) do update
    set size = excluded.size, ttl_ms = excluded.ttl_ms
    where (t.size, t.ttl_ms) is distinct from (excluded.size, excluded.ttl_ms);
$function$;
