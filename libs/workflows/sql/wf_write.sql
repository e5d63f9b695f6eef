-- Writes what workers have done: steps and values, and how a run goes on. Each write is an array: run, claim, steps,
-- values, whether it has got on, parent, and its end; `has` names what occurs in any of them:
--
-- s   steps, each an array: name, kind, status, result, error, seq, after, attempts, duration in ms, wake in ms,
--     wake at in ms since 1970, whether it can be undone, the signal that it takes
-- v   values, each an array: key, value, how often it was written
-- p   runs that have got on
-- e   ends: ["completed", output], ["ended", status, error], ["failing", error], ["release"], ["stuck", error],
-- w   ["park", wake in ms, signals, children]
--
-- A write counts only with the claim that the run has. Whoever takes a run over waits for the lock here, and the other
-- way round.
create or replace function {{schema}}.wf_write(writes jsonb, has text)
returns table (ord integer, is_held boolean, ending text, is_done boolean, woken integer, parent_worker text)
language plpgsql volatile
as $function$
#variable_conflict use_column
declare
  now_ms constant bigint := (extract(epoch from clock_timestamp()) * 1000)::bigint;
  run_ids text[];
  held boolean[];
  endings text[];
  done boolean[];
  parents text[];
  parent_workers text[];
  n_woken integer := 0;
begin
  -- In the order of the ids, so that two of these never wait for each other in a circle.
  with given as materialized (
    select w.ord, (w.value ->> 0) collate "C" as run_id, (w.value ->> 1)::bigint as claim,
           coalesce(w.value -> 6 ->> 0 in ('completed', 'failing', 'stuck', 'park'), false) as is_free_only,
           case when w.value -> 6 ->> 0 in ('completed', 'ended') then w.value ->> 5 end as parent_id
      from jsonb_array_elements(writes) with ordinality as w (value, ord)
  ), locked as materialized (
    -- Row by row, or it is planned as a scan of the table for as long as that is believed to be small.
    select a.*
      from (
             select g.run_id from given g
              union
             select g.parent_id from given g where g.parent_id is not null
              order by 1
           ) k
     cross join lateral (
             select a.run_id, a.claim, a.state, a.ending, a.worker
               from {{schema}}.workflow_active a
              where a.run_id = k.run_id
                for no key update
           ) a
  )
  select array_agg(g.run_id order by g.ord),
         array_agg(l.run_id is not null order by g.ord),
         array_agg(l.ending order by g.ord),
         array_agg(l.run_id is not null and (l.ending is null or not g.is_free_only) order by g.ord),
         array_agg(g.parent_id order by g.ord),
         array_agg(p.worker order by g.ord)
    into run_ids, held, endings, done, parents, parent_workers
    from given g
    left join locked l on l.run_id = g.run_id and l.claim = g.claim and l.state = 1
    left join locked p on p.run_id = g.parent_id;

  if strpos(has, 's') > 0 then
    with given as (
      select run_ids[w.ord] as run_id, s.value as step
        from jsonb_array_elements(writes) with ordinality as w (value, ord),
             jsonb_array_elements(w.value -> 2) as s (value)
       where held[w.ord]
    ), taken as (
      update {{schema}}.workflow_signals s
         set taken_by = g.step ->> 0
        from given g
       where strpos(has, 'g') > 0 and g.step ->> 12 is not null
         and s.id = (g.step ->> 12)::bigint and s.run_id = g.run_id and s.taken_by is null
    )
    insert into {{schema}}.workflow_steps as s (
      run_id, step_name, kind, status, result, error, seq, after, attempts, duration_ms, wake_at, is_compensable, updated_at
    )
    select g.run_id, g.step ->> 0, g.step ->> 1, g.step ->> 2,
           case when g.step ->> 2 = 'done' then g.step -> 3 end,
           nullif(g.step -> 4, 'null'::jsonb),
           (g.step ->> 5)::integer, g.step ->> 6, (g.step ->> 7)::integer, (g.step ->> 8)::float8,
           coalesce(
             clock_timestamp() + (g.step ->> 9)::float8 * interval '1 millisecond',
             to_timestamp((g.step ->> 10)::float8 / 1000)
           ),
           coalesce((g.step ->> 11)::boolean, false), now_ms
      from given g
    on conflict (run_id, step_name) do update
       set status = excluded.status, result = excluded.result, error = excluded.error, attempts = excluded.attempts,
           duration_ms = excluded.duration_ms, wake_at = coalesce(excluded.wake_at, s.wake_at),
           is_compensable = excluded.is_compensable, updated_at = excluded.updated_at
     where s.status in ('pending', 'scheduled');
  end if;

  if strpos(has, 'v') > 0 then
    insert into {{schema}}.workflow_values as v (run_id, key, value, writes)
    select run_ids[w.ord], s.value ->> 0, s.value -> 1, (s.value ->> 2)::integer
      from jsonb_array_elements(writes) with ordinality as w (value, ord),
           jsonb_array_elements(w.value -> 3) as s (value)
     where held[w.ord]
    on conflict (run_id, key) do update set value = excluded.value, writes = excluded.writes
     where v.writes < excluded.writes;
  end if;

  if strpos(has, 'p') > 0 then
    update {{schema}}.workflow_active a
       set recoveries = 0
      from jsonb_array_elements(writes) with ordinality as w (value, ord)
     where a.run_id = run_ids[w.ord] and held[w.ord] and (w.value ->> 4)::boolean;
  end if;

  if strpos(has, 'e') > 0 then
    with ended as (
      select run_ids[w.ord] as run_id, w.value -> 6 as e
        from jsonb_array_elements(writes) with ordinality as w (value, ord)
       where held[w.ord]
         and (w.value -> 6 ->> 0 = 'ended' or w.value -> 6 ->> 0 = 'completed' and endings[w.ord] is null)
    ), gone as (
      delete from {{schema}}.workflow_active a using ended x where a.run_id = x.run_id
    )
    -- What was cancelled stays so.
    update {{schema}}.workflow_runs r
       set status = case when r.status = 'cancelled' then r.status when x.e ->> 0 = 'completed' then 'completed' else x.e ->> 1 end,
           output = case when x.e ->> 0 = 'completed' then x.e -> 1 end,
           error = case when x.e ->> 0 = 'ended' then coalesce(case when r.status = 'cancelled' then r.error end, x.e -> 2) end,
           updated_at = now_ms
      from ended x
     where r.id = x.run_id;
  end if;

  if strpos(has, 'w') > 0 then
    with other as (
      select run_ids[w.ord] as run_id, w.value -> 6 as e
        from jsonb_array_elements(writes) with ordinality as w (value, ord)
       where held[w.ord]
         and (w.value -> 6 ->> 0 = 'release' or w.value -> 6 ->> 0 in ('failing', 'stuck') and endings[w.ord] is null)
    ), moved as (
      update {{schema}}.workflow_active a
         set ending = case when x.e ->> 0 = 'failing' then 'failed' else a.ending end,
             state = case x.e ->> 0 when 'failing' then a.state when 'stuck' then 3 else 0 end,
             worker = case when x.e ->> 0 = 'failing' then a.worker end,
             due_at = clock_timestamp()
        from other x
       where a.run_id = x.run_id
    )
    update {{schema}}.workflow_runs r
       set status = case when x.e ->> 0 = 'stuck' then 'stuck' else r.status end, error = x.e -> 1, updated_at = now_ms
      from other x
     where r.id = x.run_id and x.e ->> 0 <> 'release';

    -- With the row locked, whatever was sent or has ended before is seen here, and what comes later sees it parked.
    with parking as (
      select w.ord, run_ids[w.ord] as run_id, (w.value -> 6 ->> 1)::float8 as wake_ms,
             array(select jsonb_array_elements_text(w.value -> 6 -> 2)) as signals,
             array(select jsonb_array_elements_text(w.value -> 6 -> 3)) as children
        from jsonb_array_elements(writes) with ordinality as w (value, ord)
       where held[w.ord] and endings[w.ord] is null and w.value -> 6 ->> 0 = 'park'
    ), quiet as (
      select p.*
        from parking p
       where not exists (
               select from {{schema}}.workflow_signals s
                where s.run_id = p.run_id and s.taken_by is null and s.name = any (p.signals)
             )
         and not exists (
               select from {{schema}}.workflow_runs c
                where c.id = any (p.children) and c.status in ('completed', 'failed', 'cancelled', 'dead')
             )
    ), parked as (
      update {{schema}}.workflow_active a
         set state = 2, worker = null, signals = q.signals, children = q.children,
             due_at = coalesce(clock_timestamp() + q.wake_ms * interval '1 millisecond', 'infinity')
        from quiet q
       where a.run_id = q.run_id
    ), shown as (
      update {{schema}}.workflow_runs r set status = 'suspended', updated_at = now_ms from quiet q where r.id = q.run_id
    )
    select array_agg(d.is_done and not exists (
             select from parking p left join quiet q on q.ord = p.ord where p.ord = d.ord and q.ord is null
           ) order by d.ord)
      into done
      from unnest(done) with ordinality as d (is_done, ord);
  end if;

  if cardinality(array_remove(parents, null)) > 0 then
    with ended as (
      select parents[i] as parent_id, run_ids[i] as run_id
        from generate_subscripts(parents, 1) as i
       where parents[i] is not null and held[i]
    ), woke as (
      update {{schema}}.workflow_active a
         set state = 0, due_at = clock_timestamp()
       where a.state = 2
         and exists (select from ended x where x.parent_id = a.run_id and x.run_id = any (a.children))
         and a.run_id in (select x.parent_id from ended x)
      returning a.run_id
    ), shown as (
      update {{schema}}.workflow_runs r set status = 'running', updated_at = now_ms from woke k where r.id = k.run_id
    )
    select count(*) into n_woken from woke;
  end if;

  return query
    select i, held[i], endings[i], done[i], n_woken, parent_workers[i] from generate_subscripts(run_ids, 1) as i;
end
$function$;
