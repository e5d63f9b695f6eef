-- Sends a signal to a run: `sent`, `repeated` when one with this key had come before, `ended` or `absent`.
--
-- Whoever parks the run locks the same row before it looks for signals, so that one of the two always sees the other.
create or replace function {{schema}}.wf_signal(target text, signal_name text, body jsonb, dedupe_key text)
returns table (outcome text, run_status text, holder text, woke boolean)
language plpgsql volatile
as $function$
#variable_conflict use_column
declare
  its_status text;
  its_worker text;
  is_waiting boolean;
begin
  for attempt in 1..2 loop
    select a.worker, coalesce(a.state = 2 and signal_name = any (a.signals), false)
      into its_worker, is_waiting
      from {{schema}}.workflow_active a
     where a.run_id = target
       for no key update;
    if found then
      select r.status into its_status from {{schema}}.workflow_runs r where r.id = target;
      -- It is only wound up any more.
      exit when its_status = 'cancelled';
      insert into {{schema}}.workflow_signals (run_id, name, payload, dedupe)
      values (target, signal_name, body, dedupe_key)
      on conflict (run_id, name, dedupe) where dedupe is not null do nothing;
      if not found then
        return query select 'repeated', null::text, null::text, false;
        return;
      end if;
      if is_waiting then
        update {{schema}}.workflow_active a set state = 0, due_at = clock_timestamp() where a.run_id = target;
        update {{schema}}.workflow_runs r
           set status = 'running', updated_at = (extract(epoch from clock_timestamp()) * 1000)::bigint
         where r.id = target;
      end if;
      return query select 'sent', null::text, its_worker, is_waiting;
      return;
    end if;

    select r.status into its_status from {{schema}}.workflow_runs r where r.id = target;
    if not found then
      return query select 'absent', null::text, null::text, false;
      return;
    end if;
    -- Else it was started, or started again, in between.
    exit when its_status in ('completed', 'failed', 'cancelled');
  end loop;
  return query
    select case
             when exists (
                    select
                      from {{schema}}.workflow_signals s
                     where s.run_id = target and s.name = signal_name and s.dedupe = dedupe_key
                  )
             then 'repeated'
             else 'ended'
           end,
           its_status, null::text, false;
end
$function$;
