-- Lets stuck, dead and cancelled runs go on with what they have done, and wakes parked ones. Returns those that it did.
create or replace function {{schema}}.wf_resume(run_ids text[])
returns setof text
language plpgsql volatile
as $function$
#variable_conflict use_column
begin
  perform from {{schema}}.workflow_active a where a.run_id = any (run_ids) order by a.run_id for no key update;
  perform from {{schema}}.workflow_runs r where r.id = any (run_ids) order by r.id for no key update;

  return query
    with chosen as materialized (
      select r.id, r.status, r.workflow, r.queue, r.partition_key, r.priority, r.max_recoveries,
             clock_timestamp() + r.deadline_ms * interval '1 millisecond' as deadline_at,
             a.run_id is not null as is_active
        from {{schema}}.workflow_runs r
        left join {{schema}}.workflow_active a on a.run_id = r.id
       -- Runs without a queue are not ours to run.
       where r.id = any (run_ids) and r.queue is not null
         and case when a.run_id is null or a.state = 0 then r.status = 'cancelled' else a.state in (2, 3, 4) end
    ), woken as (
      update {{schema}}.workflow_active a
         set state = 0, due_at = clock_timestamp(), worker = null, ending = null, signals = null, children = null,
             recoveries = case when a.state = 2 then a.recoveries else 0 end,
             deadline_at = case when c.status = 'cancelled' then c.deadline_at else a.deadline_at end
        from chosen c
       where a.run_id = c.id and a.state <> 1
      returning a.run_id
    ), entered as (
      insert into {{schema}}.workflow_active (
        run_id, workflow, queue, partition_key, priority, max_recoveries, deadline_at, claim
      )
      select c.id, c.workflow, c.queue, c.partition_key, c.priority, c.max_recoveries, c.deadline_at,
             nextval({{schema.claims:regclass}})
        from chosen c
       where not c.is_active
      on conflict (run_id) do nothing
      returning run_id
    ), going as (
      select w.run_id from woken w union all select e.run_id from entered e
    ), shown as (
      update {{schema}}.workflow_runs r
         set status = 'running', error = null, updated_at = (extract(epoch from clock_timestamp()) * 1000)::bigint
        from going g
       where r.id = g.run_id
    )
    select g.run_id from going g;
end
$function$;
