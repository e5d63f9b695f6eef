-- Starts runs again that failed, were cancelled, or are stuck or dead. They keep what they have done, up to the
-- first step that was undone, and to `from_step`. Returns those that it did.
create or replace function {{schema}}.wf_retry(run_ids text[], from_step text)
returns setof text
language plpgsql volatile
as $function$
#variable_conflict use_column
declare
  chosen text[];
begin
  perform from {{schema}}.workflow_active a where a.run_id = any (run_ids) order by a.run_id for no key update;
  perform from {{schema}}.workflow_runs r where r.id = any (run_ids) order by r.id for no key update;

  select array_agg(r.id)
    into chosen
    from {{schema}}.workflow_runs r
    left join {{schema}}.workflow_active a on a.run_id = r.id
   -- Runs without a queue are not ours to run.
   where r.id = any (run_ids) and r.queue is not null
     and r.status in ('failed', 'cancelled', 'stuck', 'dead') and (a.run_id is null or a.state <> 1)
     and (
           from_step is null
           or exists (
                select
                  from {{schema}}.workflow_steps s
                 where s.run_id = r.id and s.step_name = from_step and s.kind <> 'compensation'
              )
         );
  if chosen is null then
    return;
  end if;

  -- The first that was undone, or from which to begin.
  with bounds as (
    select s.run_id, min(s.seq) as seq
      from {{schema}}.workflow_steps s
     where s.run_id = any (chosen)
       and (
             s.step_name = from_step
             or exists (
                  select
                    from {{schema}}.workflow_steps u
                   where u.run_id = s.run_id and u.step_name = 'undo:' || s.step_name and u.kind = 'compensation'
                )
           )
     group by s.run_id
  ), gone as (
    delete from {{schema}}.workflow_steps s
     where s.run_id = any (chosen)
       and (
             s.kind = 'compensation'
             or from_step is null and s.status <> 'done'
             or s.seq >= (select b.seq from bounds b where b.run_id = s.run_id)
           )
    returning s.run_id, s.step_name
  )
  -- What they had taken is there to be taken again.
  update {{schema}}.workflow_signals s
     set taken_by = null
    from gone g
   where s.run_id = g.run_id and s.taken_by = g.step_name;

  -- What is done anew may set other values than before.
  update {{schema}}.workflow_values v set writes = 0 where v.run_id = any (chosen);

  insert into {{schema}}.workflow_active (
    run_id, workflow, queue, partition_key, priority, max_recoveries, deadline_at, claim
  )
  select r.id, r.workflow, r.queue, r.partition_key, r.priority, r.max_recoveries,
         clock_timestamp() + r.deadline_ms * interval '1 millisecond', nextval({{schema.claims:regclass}})
    from {{schema}}.workflow_runs r
   where r.id = any (chosen)
   order by r.id
  on conflict (run_id) do update
     set state = 0, worker = null, ending = null, signals = null, children = null, recoveries = 0,
         due_at = excluded.due_at, deadline_at = excluded.deadline_at, claim = excluded.claim;

  update {{schema}}.workflow_runs r
     set status = 'running', output = null, error = null,
         updated_at = (extract(epoch from clock_timestamp()) * 1000)::bigint
   where r.id = any (chosen);

  return query select unnest(chosen);
end
$function$;
