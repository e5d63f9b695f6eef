-- Starts runs, each with an id of its own. Each is an array: id, workflow, version, input, queue, priority,
-- partition key, delay in ms, deadline in ms, recoveries at the most, parent, traceparent, and the worker that begins at once.
--
-- Returns a row for each that was not there yet.
create or replace function {{schema}}.wf_start(runs jsonb)
returns table (ord integer, claim bigint)
language sql volatile
as $function$
  with given as materialized (
    select r.ord::integer as ord, r.value ->> 0 as id, r.value ->> 1 as workflow, r.value ->> 2 as version,
           r.value -> 3 as input, r.value ->> 4 as queue, (r.value ->> 5)::integer as priority,
           r.value ->> 6 as partition_key, (r.value ->> 7)::float8 as delay_ms, (r.value ->> 8)::bigint as deadline_ms,
           (r.value ->> 9)::integer as max_recoveries, r.value ->> 10 as parent_id, r.value ->> 11 as traceparent,
           r.value ->> 12 as worker
      from jsonb_array_elements(runs) with ordinality as r (value, ord)
  ), made as (
    insert into {{schema}}.workflow_runs (
      id, workflow, status, input, version, queue, priority, partition_key, deadline_ms, max_recoveries, parent_id, traceparent
    )
    select g.id, g.workflow, case when g.delay_ms > 0 then 'suspended' else 'running' end, g.input, g.version, g.queue,
           g.priority, g.partition_key, g.deadline_ms, g.max_recoveries, g.parent_id, g.traceparent
      from given g
     order by g.id
    on conflict (id) do nothing
    returning id
  ), entered as (
    insert into {{schema}}.workflow_active (
      run_id, workflow, queue, partition_key, worker, claim, due_at, deadline_at, priority, max_recoveries, state
    )
    select g.id, g.workflow, g.queue, g.partition_key, g.worker,
           case when g.worker is null then 0 else nextval({{schema.claims:regclass}}) end,
           clock_timestamp() + g.delay_ms * interval '1 millisecond',
           clock_timestamp() + g.deadline_ms * interval '1 millisecond',
           g.priority, g.max_recoveries,
           case when g.worker is not null then 1 when g.delay_ms > 0 then 2 else 0 end
      from given g
      join made m on m.id = g.id
    returning run_id, claim
  )
  select g.ord, e.claim from entered e join given g on g.id = e.run_id
$function$;
