-- Appends to several streams at once, in whatever state they are. The parameters are those of emt_append, which calls it.
create or replace function {{schema}}.emt_append_many(
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
  n constant integer := cardinality(streams);
  stamp timestamptz;
  versions bigint[];
  states text[];
  outcomes text[];
  repeated_versions bigint[];
  repeated_positions bigint[];
  overlapping text[];
  wanted integer;
  made integer;
  is_heard boolean;
begin
  perform nestbox.enter_log({{schema.sequence:regclass}});

  loop
    -- In the order of the names, so that two callers never wait for each other in a circle.
    with locked as materialized (
      select w.ord,
             s.stream_position,
             case when s.is_deleted then 'deleted' when s.is_archived then 'archived' else 'open' end as state
        from unnest(partitions, streams) with ordinality as w (partition, stream_id, ord)
        join {{schema}}.emt_streams s on s.stream_id = w.stream_id and s.partition = w.partition
       order by w.ord
         for no key update of s
    )
    select array_agg(l.stream_position order by i.ord), array_agg(l.state order by i.ord)
      into versions, states
      from generate_series(1, n) as i (ord)
      left join locked l on l.ord = i.ord;
    exit when array_position(states, null) is null;

    select count(*)
      into wanted
      from unnest(states, expected) as w (state, expected)
     where w.state is null and w.expected in (-1, -3, 0);
    exit when wanted = 0;
    insert into {{schema}}.emt_streams (partition, stream_id, stream_type, stream_position)
    select w.partition, w.stream_id, w.stream_type, 0
      from unnest(partitions, streams, categories, states, expected) with ordinality
        as w (partition, stream_id, stream_type, state, expected, ord)
     where w.state is null and w.expected in (-1, -3, 0)
     order by w.ord
    on conflict (stream_id, partition) do nothing;
    get diagnostics made = row_count;
    -- Those that somebody else has made meanwhile are there to be locked now.
    exit when made = wanted;
  end loop;

  if own_ids then
    with given as (
      select a.ord, m.value ->> 1 as message_id
        from jsonb_array_elements(messages) with ordinality as a (list, ord),
             jsonb_array_elements(a.list) as m (value)
       where m.value -> 2 = '1'::jsonb
    ), hits as (
      select g.ord,
             count(e.message_id) as count,
             max(e.stream_position) as stream_position,
             max(e.global_position) as global_position,
             min(e.message_id) as message_id
        from given g
        join {{schema}}.emt_messages e
          on e.partition = partitions[g.ord] and e.stream_id = streams[g.ord]
         and e.message_id = g.message_id and e.has_own_id
       group by g.ord
    )
    select array_agg(case when h.count = counts[i.ord] then h.stream_position end order by i.ord),
           array_agg(case when h.count = counts[i.ord] then h.global_position end order by i.ord),
           array_agg(case when h.count < counts[i.ord] then h.message_id end order by i.ord)
      into repeated_versions, repeated_positions, overlapping
      from generate_series(1, n) as i (ord)
      left join hits h on h.ord = i.ord;
  end if;

  for i in 1..n loop
    outcomes[i] := case
      when repeated_versions[i] is not null then 'repeated'
      when overlapping[i] is not null then 'overlap'
      when states[i] in ('deleted', 'archived') then states[i]
      when expected[i] = -1
        or expected[i] = -2 and versions[i] > 0
        or expected[i] in (-3, 0) and coalesce(versions[i], 0) = 0
        or expected[i] = versions[i] then 'appended'
      else 'conflict'
    end;
  end loop;

  is_heard := exists (select from {{schema}}.emt_subscriptions);
  if 'appended' = any (outcomes) then
    stamp := clock_timestamp();
    update {{schema}}.emt_streams s
       set stream_position = s.stream_position + w.count
      from unnest(partitions, streams, counts, outcomes) as w (partition, stream_id, count, outcome)
     where s.stream_id = w.stream_id and s.partition = w.partition and w.outcome = 'appended';

    return query
      with given as (
        select a.ord, m.idx, m.value
          from jsonb_array_elements(messages) with ordinality as a (list, ord),
               jsonb_array_elements(a.list) with ordinality as m (value, idx)
         where outcomes[a.ord] = 'appended'
         order by a.ord, m.idx
      ), written as (
        insert into {{schema}}.emt_messages as e (
          partition, stream_id, stream_type, stream_position, global_position, created_at,
          message_type, message_id, has_own_id, message_data, message_metadata
        )
        select partitions[g.ord], streams[g.ord], categories[g.ord],
               coalesce(versions[g.ord], 0) + g.idx,
               nextval({{schema.sequence:regclass}}),
               stamp,
               g.value ->> 0, g.value ->> 1, g.value -> 2 = '1'::jsonb, g.value -> 3,
               nullif(g.value -> 4, 'null'::jsonb)
          from given g
        returning e.partition, e.stream_id, e.global_position
      ), placed as (
        select e.partition, e.stream_id, string_agg(e.global_position::text, ',' order by e.global_position) as list
          from written e
         group by e.partition, e.stream_id
      )
      select w.ord::integer, 'appended', coalesce(versions[w.ord], 0) + counts[w.ord], p.list, stamp, null::text, is_heard
        from placed p
        join unnest(partitions, streams) with ordinality as w (partition, stream_id, ord)
          on w.partition = p.partition and w.stream_id = p.stream_id;
  end if;

  for i in 1..n loop
    if outcomes[i] <> 'appended' then
      ord := i;
      outcome := outcomes[i];
      version := coalesce(repeated_versions[i], versions[i], 0);
      positions := repeated_positions[i]::text;
      noted := overlapping[i];
      heard := is_heard;
      return next;
    end if;
  end loop;
end
$function$;
