select nestbox.ensure_schema({{schema:literal}});

-- Every run, ended ones included. Times are in ms since 1970, by the clock of the database.
create table {{schema}}.workflow_runs (
  id text collate "C" primary key,
  workflow text collate "C" not null,
  status text not null check (status in ('running', 'suspended', 'completed', 'failed', 'cancelled', 'stuck', 'dead')),
  input jsonb not null,
  output jsonb,
  error jsonb,
  created_at bigint not null default (extract(epoch from clock_timestamp()) * 1000)::bigint,
  updated_at bigint not null default (extract(epoch from clock_timestamp()) * 1000)::bigint,
  version text,
  queue text collate "C",
  priority integer not null default 0,
  partition_key text collate "C",
  -- How long it may take, in ms.
  deadline_ms bigint,
  max_recoveries integer not null default 20,
  parent_id text collate "C",
  forked_from text collate "C",
  -- The trace that it belongs to, as a traceparent header has it.
  traceparent text
) with (fillfactor = 80);
create index on {{schema}}.workflow_runs (created_at, id);
create index on {{schema}}.workflow_runs (parent_id) where parent_id is not null;

-- What was done in each run. `seq` is the order in which steps were called, `after` the step whose end led to the call.
create table {{schema}}.workflow_steps (
  run_id text collate "C" not null,
  step_name text collate "C" not null,
  status text not null check (status in ('pending', 'scheduled', 'done', 'error')),
  result jsonb,
  error jsonb,
  updated_at bigint not null default (extract(epoch from clock_timestamp()) * 1000)::bigint,
  kind text not null default 'step',
  seq integer not null default 0,
  after text collate "C",
  attempts integer not null default 1,
  duration_ms double precision,
  -- Until when it waits.
  wake_at timestamptz,
  is_compensable boolean not null default false,
  primary key (run_id, step_name)
);

-- The steps go with their run. A foreign key would look the run up for each step that is written.
create function {{schema}}.wf_delete_details() returns trigger
language plpgsql
as $function$
begin
  delete from {{schema}}.workflow_steps s using gone g where s.run_id = g.id;
  delete from {{schema}}.workflow_active a using gone g where a.run_id = g.id;
  delete from {{schema}}.workflow_signals s using gone g where s.run_id = g.id;
  delete from {{schema}}.workflow_values v using gone g where v.run_id = g.id;
  return null;
end
$function$;
create trigger wf_delete_details after delete on {{schema}}.workflow_runs
  referencing old table as gone for each statement execute function {{schema}}.wf_delete_details();

create sequence {{schema.claims}} as bigint;

-- The runs that are not over, so that their history never slows a look for work.
--
-- state   0 ready, 1 claimed, 2 parked, 3 stuck, 4 dead
-- claim   drawn anew with each claim; whoever writes shows the one that it got
-- ending  why it may only be wound up any more: 'cancelled', 'deadline' or 'failed'
create table {{schema}}.workflow_active (
  run_id text collate "C" primary key,
  workflow text collate "C" not null,
  queue text collate "C" not null,
  partition_key text collate "C",
  worker text collate "C",
  ending text,
  -- Names of signals and ids of runs that a parked run waits for.
  signals text[],
  children text[],
  claim bigint not null default 0,
  -- When it became ready; when a parked one has to wake.
  due_at timestamptz not null default clock_timestamp(),
  deadline_at timestamptz,
  priority integer not null default 0,
  recoveries integer not null default 0,
  max_recoveries integer not null default 20,
  state smallint not null default 0
) with (
  fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000,
  autovacuum_vacuum_cost_delay = 0
);
create index workflow_active_ready on {{schema}}.workflow_active (queue, workflow, priority, due_at) where state = 0;
create index workflow_active_claimed on {{schema}}.workflow_active (worker) where state = 1;
create index workflow_active_queued on {{schema}}.workflow_active (queue, partition_key) where state = 1;
create index workflow_active_parked on {{schema}}.workflow_active (due_at) where state = 2;
create index workflow_active_deadline on {{schema}}.workflow_active (deadline_at)
  where deadline_at is not null and ending is null;

-- Signals in the order in which they came; one is taken by one wait.
create table {{schema}}.workflow_signals (
  id bigint generated always as identity primary key,
  run_id text collate "C" not null,
  name text collate "C" not null,
  payload jsonb not null,
  dedupe text collate "C",
  taken_by text collate "C",
  sent_at timestamptz not null default clock_timestamp()
);
create index on {{schema}}.workflow_signals (run_id) where taken_by is null;
create unique index on {{schema}}.workflow_signals (run_id, name, dedupe) where dedupe is not null;

-- What runs show of themselves. `writes` counts the writes of a key, so that a replay does not bring back an older one.
create table {{schema}}.workflow_values (
  run_id text collate "C" not null,
  key text collate "C" not null,
  value jsonb not null,
  writes integer not null,
  primary key (run_id, key)
);

-- The queues that have limits. `starts` are the times of the last claims, as many as `rate_limit`.
create table {{schema}}.workflow_queues (
  name text collate "C" primary key,
  concurrency integer,
  partition_concurrency integer,
  rate_limit integer,
  rate_ms double precision,
  is_paused boolean not null default false,
  starts timestamptz[] not null default '{}'
);

create table {{schema}}.workflow_schedules (
  name text collate "C" primary key,
  workflow text collate "C" not null,
  cron text not null,
  timezone text not null,
  input jsonb not null,
  options jsonb not null default '{}',
  next_at timestamptz not null,
  is_paused boolean not null default false,
  last_run_id text collate "C",
  updated_at timestamptz not null default clock_timestamp()
);
create index on {{schema}}.workflow_schedules (next_at) where not is_paused;
