-- Cancels runs, and all that descend from them. Those that somebody is doing at the moment, and those with something to
-- undo, are left to workers; the others are over at once.
--
-- Returns those that were cancelled, each with the worker that has it; and without a run, workers that have a parent of
-- one. Of those that were cancelled before, the descendants are looked at again: the worker may have started another
-- child before it knew.
create or replace function {{schema}}.wf_cancel(run_ids text[], reason jsonb)
returns table (cancelled text, holder text)
language plpgsql volatile
as $function$
#variable_conflict use_column
declare
  now_ms constant bigint := (extract(epoch from clock_timestamp()) * 1000)::bigint;
  family text[];
  doomed text[];
  holders text[];
  parents text[];
begin
  with recursive members as (
    select r.id
      from {{schema}}.workflow_runs r
     where r.id = any (run_ids) and r.status not in ('completed', 'failed')
    union
    select c.id from members m join {{schema}}.workflow_runs c on c.parent_id = m.id
  )
  select array_agg(m.id) into family from members m;

  -- Parents, too, which may wait for them. All who lock several do so in the order of the ids.
  perform
     from {{schema}}.workflow_active a
    where a.run_id in (
            select unnest(family)
            union
            select r.parent_id from {{schema}}.workflow_runs r where r.id = any (family)
          )
    order by a.run_id
      for no key update;

  -- With the rows locked, nobody else moves any of them.
  with chosen as materialized (
    select a.run_id, a.worker,
           a.state = 1 or exists (
             select
               from {{schema}}.workflow_steps s
              where s.run_id = a.run_id and s.is_compensable and s.status = 'done'
           ) as is_left
      from {{schema}}.workflow_active a
      join {{schema}}.workflow_runs r on r.id = a.run_id
     where a.run_id = any (family) and r.status <> 'cancelled'
  ), gone as (
    delete from {{schema}}.workflow_active a using chosen c where a.run_id = c.run_id and not c.is_left
  ), left_over as (
    update {{schema}}.workflow_active a
       set ending = coalesce(a.ending, 'cancelled'), state = case when a.state = 1 then 1 else 0 end,
           due_at = clock_timestamp(), recoveries = 0, signals = null, children = null
      from chosen c
     where a.run_id = c.run_id and c.is_left
  ), shown as (
    update {{schema}}.workflow_runs r
       set status = 'cancelled', error = reason, updated_at = now_ms
      from chosen c
     where r.id = c.run_id
  )
  select array_agg(c.run_id order by c.run_id), array_agg(c.worker order by c.run_id)
    into doomed, holders
    from chosen c;
  if doomed is null then
    return;
  end if;

  select array_agg(distinct r.parent_id)
    into parents
    from {{schema}}.workflow_runs r
   where r.id = any (doomed) and r.parent_id is not null and r.parent_id <> all (doomed);
  with woke as (
    update {{schema}}.workflow_active a
       set state = 0, due_at = clock_timestamp()
     where a.run_id = any (parents) and a.state = 2 and a.children && doomed
    returning a.run_id
  )
  update {{schema}}.workflow_runs r set status = 'running', updated_at = now_ms from woke w where r.id = w.run_id;

  return query
    select doomed[i], holders[i] from generate_subscripts(doomed, 1) as i
    union all
    select null, a.worker from {{schema}}.workflow_active a where a.run_id = any (parents) and a.state = 1;
end
$function$;
