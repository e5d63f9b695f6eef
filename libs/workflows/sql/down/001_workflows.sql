drop function if exists {{schema}}.wf_cancel;
drop function if exists {{schema}}.wf_claim;
drop function if exists {{schema}}.wf_resume;
drop function if exists {{schema}}.wf_retry;
drop function if exists {{schema}}.wf_signal;
drop function if exists {{schema}}.wf_start;
drop function if exists {{schema}}.wf_write;
drop table if exists
  {{schema}}.workflow_runs,
  {{schema}}.workflow_steps,
  {{schema}}.workflow_active,
  {{schema}}.workflow_signals,
  {{schema}}.workflow_values,
  {{schema}}.workflow_queues,
  {{schema}}.workflow_schedules;
-- The trigger that called it went with its table.
drop function if exists {{schema}}.wf_delete_details;
drop sequence if exists {{schema.claims}};
select nestbox.drop_empty_schema({{schema:literal}});
