-- Appends to several streams at once, all of them distinct and sorted by (partition, stream).
--
-- expected   a version, or -1 for any, -2 for a stream that exists, -3 for one that does not
-- messages   for each stream a JSON array of [type, id, whether the id is the caller's own (0 or 1), data, metadata]
-- counts     how many messages each stream gets
-- own_ids    whether any message has an id of the caller's own
--
-- Returns one row per stream. What is not 'appended' has changed nothing. `heard` tells whether there are consumers.
--
-- Most appends are to streams that are as they were expected, in all the same way. They take a shorter way here; all
-- others go to emt_append_many.
create or replace function {{schema}}.emt_append(
  partitions text[],
  streams text[],
  categories text[],
  expected bigint[],
  counts integer[],
  messages jsonb,
  own_ids boolean
)
returns table (ord integer, outcome text, version bigint, positions text, at timestamptz, noted text, heard boolean)
language plpgsql volatile
as $function$
#variable_conflict use_column
declare
  in_partition constant text := partitions[1];
  stream constant text := streams[1];
  category constant text := categories[1];
  wanted constant bigint := expected[1];
  added constant integer := counts[1];
  n constant integer := cardinality(streams);
  new_version bigint;
  versions bigint[];
  others integer[];
begin
  if n = 1 and not own_ids then
    perform nestbox.enter_log({{schema.sequence:regclass}});
    -- Locks the stream, checks it and moves it on at once. Where that does not fit, nothing has happened.
    if wanted in (-1, -3, 0) then
      insert into {{schema}}.emt_streams as s (partition, stream_id, stream_type, stream_position)
      values (in_partition, stream, category, added)
      on conflict (stream_id, partition) do update set stream_position = s.stream_position + excluded.stream_position
        where not s.is_archived and not s.is_deleted and (wanted = -1 or s.stream_position = 0)
      returning s.stream_position into new_version;
    else
      update {{schema}}.emt_streams s
         set stream_position = s.stream_position + added
       where s.partition = in_partition
         and s.stream_id = stream
         and not s.is_archived
         and not s.is_deleted
         and case wanted when -2 then s.stream_position > 0 else s.stream_position = wanted end
      returning s.stream_position into new_version;
    end if;
    if new_version is not null then
      ord := 1;
      outcome := 'appended';
      version := new_version;
      at := clock_timestamp();
      with written as (
        insert into {{schema}}.emt_messages as e (
          partition, stream_id, stream_type, stream_position, global_position, created_at,
          message_type, message_id, has_own_id, message_data, message_metadata
        )
        select in_partition, stream, category, new_version - added + m.idx,
               nextval({{schema.sequence:regclass}}),
               at,
               m.value ->> 0, m.value ->> 1, false, m.value -> 3,
               nullif(m.value -> 4, 'null'::jsonb)
          from jsonb_array_elements(messages -> 0) with ordinality as m (value, idx)
        returning e.global_position
      )
      select string_agg(w.global_position::text, ',' order by w.global_position) into positions from written w;
      heard := exists (select from {{schema}}.emt_subscriptions);
      return next;
      return;
    end if;
  end if;
  if n > 1 and wanted in (-1, -3, 0) and wanted = all (expected) and not own_ids then
    perform nestbox.enter_log({{schema.sequence:regclass}});
    -- In the order of the names, so that two callers never wait for each other in a circle.
    with moved as (
      insert into {{schema}}.emt_streams as s (partition, stream_id, stream_type, stream_position)
      select w.partition, w.stream_id, w.stream_type, w.count
        from unnest(partitions, streams, categories, counts) with ordinality
          as w (partition, stream_id, stream_type, count, ord)
       order by w.ord
      on conflict (stream_id, partition) do update set stream_position = s.stream_position + excluded.stream_position
        where not s.is_archived and not s.is_deleted and (wanted = -1 or s.stream_position = 0)
      returning s.partition, s.stream_id, s.stream_position
    )
    select array_agg(m.stream_position order by w.ord), array_agg(w.ord order by w.ord) filter (where m.stream_id is null)
      into versions, others
      from unnest(partitions, streams) with ordinality as w (partition, stream_id, ord)
      left join moved m on m.partition = w.partition and m.stream_id = w.stream_id;

    at := clock_timestamp();
    heard := exists (select from {{schema}}.emt_subscriptions);
    return query
      with written as (
        insert into {{schema}}.emt_messages as e (
          partition, stream_id, stream_type, stream_position, global_position, created_at,
          message_type, message_id, has_own_id, message_data, message_metadata
        )
        select partitions[g.ord], streams[g.ord], categories[g.ord], versions[g.ord] - counts[g.ord] + g.idx,
               nextval({{schema.sequence:regclass}}),
               at,
               g.value ->> 0, g.value ->> 1, false, g.value -> 3,
               nullif(g.value -> 4, 'null'::jsonb)
          from (
            select a.ord, m.idx, m.value
              from jsonb_array_elements(messages) with ordinality as a (list, ord),
                   jsonb_array_elements(a.list) with ordinality as m (value, idx)
             where versions[a.ord] is not null
             order by a.ord, m.idx
          ) g
        returning e.partition, e.stream_id, e.global_position
      ), placed as (
        select e.partition, e.stream_id, string_agg(e.global_position::text, ',' order by e.global_position) as list
          from written e
         group by e.partition, e.stream_id
      )
      select w.ord::integer, 'appended', versions[w.ord], p.list, at, null::text, heard
        from placed p
        join unnest(partitions, streams) with ordinality as w (partition, stream_id, ord)
          on w.partition = p.partition and w.stream_id = p.stream_id;
    if others is null then
      return;
    end if;
    return query
      select others[m.ord], m.outcome, m.version, m.positions, m.at, m.noted, m.heard
        from {{schema}}.emt_append_many(
               array(select partitions[o.i] from unnest(others) with ordinality as o (i, k) order by o.k),
               array(select streams[o.i] from unnest(others) with ordinality as o (i, k) order by o.k),
               array(select categories[o.i] from unnest(others) with ordinality as o (i, k) order by o.k),
               array(select expected[o.i] from unnest(others) with ordinality as o (i, k) order by o.k),
               array(select counts[o.i] from unnest(others) with ordinality as o (i, k) order by o.k),
               (select jsonb_agg(messages -> (o.i - 1) order by o.k) from unnest(others) with ordinality as o (i, k)),
               false
             ) m;
    return;
  end if;
  return query
    select m.*
      from {{schema}}.emt_append_many(partitions, streams, categories, expected, counts, messages, own_ids) m;
end
$function$;
