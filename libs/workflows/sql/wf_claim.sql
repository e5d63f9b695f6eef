-- Gives a worker runs to do, `room` at the most, of the workflows that it knows and the queues that it serves (null for
-- all). Runs whose worker is gone come back here, parked ones wake, and those past their deadline are cancelled.
--
-- The last row has no run, but in how many ms there may be something to do, and whether others were woken.
create or replace function {{schema}}.wf_claim(
  me text,
  room integer,
  workflows text[],
  queues text[],
  deadline_error jsonb
)
returns table (run_id text, claim bigint, is_fresh boolean, next_ms float8)
language plpgsql volatile
as $function$
#variable_conflict use_column
declare
  gone text[];
  lost text[];
  late text[];
  over text[];
  busy_runs text[];
  parents text[];
  names text[];
  chosen text[];
  taken text[] := '{}';
  fresh boolean[] := '{}';
  claims bigint[] := '{}';
  q record;
  allowed integer;
  next_at timestamptz;
  -- A constant, so that indexes can be asked with it.
  now_at constant timestamptz := clock_timestamp();
begin
  -- Workers whose lease is over.
  select array_agg(w.worker)
    into gone
    from (select distinct a.worker from {{schema}}.workflow_active a where a.state = 1 and a.worker <> me) w
   where not exists (
           select from nestbox.leases l where l.name = w.worker and l.owner is not null and l.expires_at > clock_timestamp()
         );
  if gone is not null then
    select array_agg(l.run_id), array_agg(l.run_id) filter (where l.recoveries >= l.max_recoveries)
      into lost, over
      from (
        select a.run_id, a.recoveries, a.max_recoveries
          from {{schema}}.workflow_active a
         where a.state = 1 and a.worker = any (gone)
           for no key update skip locked
      ) l;
  end if;

  -- Runs past their deadline.
  select array_agg(d.run_id)
    into late
    from (
      select a.run_id
        from {{schema}}.workflow_active a
       where a.deadline_at <= now_at and a.ending is null
       order by a.deadline_at
       limit 100
         for no key update skip locked
    ) d;

  -- Those of them that have a parent need its row, too, which may wait for them; without it they have to wait.
  over := over || late;
  if over is not null then
    select array_agg(p.run_id)
      into parents
      from (
        select a.run_id
          from {{schema}}.workflow_active a
         where a.run_id in (select r.parent_id from {{schema}}.workflow_runs r where r.id = any (over))
           for no key update skip locked
      ) p;
    select array_agg(r.id)
      into busy_runs
      from {{schema}}.workflow_runs r
      join {{schema}}.workflow_active a on a.run_id = r.parent_id
     where r.id = any (over) and r.parent_id <> all (coalesce(parents, '{}'));
    if busy_runs is not null then
      lost := array(select l from unnest(lost) as l where l <> all (busy_runs));
      late := array(select l from unnest(late) as l where l <> all (busy_runs));
      over := array(select l from unnest(over) as l where l <> all (busy_runs));
    end if;
  end if;

  if lost is not null then
    with back as (
      update {{schema}}.workflow_active a
         set state = case when a.recoveries < a.max_recoveries then 0 else 4 end,
             recoveries = a.recoveries + 1, worker = null, due_at = now_at
       where a.run_id = any (lost)
      returning a.run_id, a.state
    )
    update {{schema}}.workflow_runs r
       set status = 'dead', updated_at = (extract(epoch from now_at) * 1000)::bigint
      from back b
     where r.id = b.run_id and b.state = 4;
  end if;
  if late is not null then
    update {{schema}}.workflow_active a
       set ending = 'deadline', state = case when a.state = 1 then 1 else 0 end, due_at = now_at
     where a.run_id = any (late);
    update {{schema}}.workflow_runs r
       set status = 'cancelled', error = deadline_error, updated_at = (extract(epoch from now_at) * 1000)::bigint
      from {{schema}}.workflow_active a
     where r.id = any (late) and a.run_id = r.id and a.ending = 'deadline';
  end if;
  if parents is not null then
    with woke as (
      update {{schema}}.workflow_active a
         set state = 0, due_at = now_at
       where a.run_id = any (parents) and a.state = 2 and a.children && over
      returning a.run_id
    )
    update {{schema}}.workflow_runs r set status = 'running' from woke w where r.id = w.run_id;
  end if;

  -- Parked runs whose time has come.
  update {{schema}}.workflow_active a
     set state = 0
   where a.run_id in (
           select p.run_id
             from {{schema}}.workflow_active p
            where p.state = 2 and p.due_at <= now_at
            order by p.due_at
            limit greatest(room, 100)
              for no key update skip locked
         );

  if room > 0 then
    -- The queues that have something, each found by one look at the index.
    with recursive found as (
      (select a.queue from {{schema}}.workflow_active a where a.state = 0 order by a.queue limit 1)
      union all
      select (select a.queue from {{schema}}.workflow_active a where a.state = 0 and a.queue > f.queue order by a.queue limit 1)
        from found f
       where f.queue is not null
    )
    select array_agg(f.queue)
      into names
      from found f
     where f.queue is not null and (queues is null or f.queue = any (queues));

    -- Those with limits, one worker at a time. Whoever comes meanwhile passes on.
    for q in
      select l.*
        from {{schema}}.workflow_queues l
       where l.name = any (names)
       order by l.name
         for no key update skip locked
    loop
      exit when cardinality(taken) >= room;
      allowed := room - cardinality(taken);
      if q.is_paused then
        allowed := 0;
      end if;
      if q.concurrency is not null then
        select least(allowed, q.concurrency - count(*))
          into allowed
          from {{schema}}.workflow_active a
         where a.state = 1 and a.queue = q.name;
      end if;
      if q.rate_limit is not null then
        q.starts := array(
          select s from unnest(q.starts) as s where s > clock_timestamp() - q.rate_ms * interval '1 millisecond' order by s
        );
        allowed := least(allowed, q.rate_limit - cardinality(q.starts));
        if q.rate_limit <= cardinality(q.starts) then
          next_at := least(
            next_at, q.starts[cardinality(q.starts) - q.rate_limit + 1] + q.rate_ms * interval '1 millisecond'
          );
        end if;
      end if;
      continue when allowed <= 0;

      with busy as (
        select a.partition_key, count(*) as n
          from {{schema}}.workflow_active a
         where a.state = 1 and a.queue = q.name and a.partition_key is not null and q.partition_concurrency is not null
         group by a.partition_key
      ), candidates as (
        select c.run_id, c.priority, c.due_at, c.partition_key,
               row_number() over (partition by c.partition_key order by c.priority, c.due_at) as nth
          from unnest(workflows) as w (name),
               lateral (
                 select a.run_id, a.priority, a.due_at, a.partition_key
                   from {{schema}}.workflow_active a
                  where a.state = 0 and a.queue = q.name and a.workflow = w.name
                    and not exists (
                          select from busy b where b.partition_key = a.partition_key and b.n >= q.partition_concurrency
                        )
                  order by a.priority, a.due_at
                  limit case when q.partition_concurrency is null then allowed else allowed * 4 + 100 end
               ) c
      )
      select array_agg(c.run_id)
        into chosen
        from (
          select c.run_id
            from candidates c
            left join busy b on b.partition_key = c.partition_key
           where q.partition_concurrency is null or c.partition_key is null
              or c.nth + coalesce(b.n, 0) <= q.partition_concurrency
           order by c.priority, c.due_at
           limit allowed
        ) c;
      continue when chosen is null;

      with locked as materialized (
        select a.run_id, a.claim
          from {{schema}}.workflow_active a
         where a.run_id = any (chosen) and a.state = 0
         order by a.run_id
           for no key update skip locked
      ), mine as (
        update {{schema}}.workflow_active a
           set state = 1, worker = me, claim = nextval({{schema.claims:regclass}}), signals = null, children = null
          from locked l
         where a.run_id = l.run_id
        returning a.run_id, a.claim,
          -- A fork has steps before anybody has claimed it.
          l.claim = 0 and not exists (select from {{schema}}.workflow_steps s where s.run_id = a.run_id) as is_fresh
      )
      select taken || array_agg(m.run_id), claims || array_agg(m.claim), fresh || array_agg(m.is_fresh), count(*)
        into taken, claims, fresh, allowed
        from mine m;
      if q.rate_limit is not null then
        update {{schema}}.workflow_queues l
           set starts = q.starts || array_fill(clock_timestamp(), array[allowed])
         where l.name = q.name;
      end if;
    end loop;

    if cardinality(taken) < room then
      with candidates as materialized (
        select c.run_id, c.claim
          from unnest(names) as n (name)
          cross join unnest(workflows) as w (name)
          cross join lateral (
            select a.run_id, a.claim, a.priority, a.due_at
              from {{schema}}.workflow_active a
             where a.state = 0 and a.queue = n.name and a.workflow = w.name
             order by a.priority, a.due_at
             limit room
               for no key update skip locked
          ) c
         where not exists (select from {{schema}}.workflow_queues l where l.name = n.name)
         order by c.priority, c.due_at
         limit room - cardinality(taken)
      ), mine as (
        update {{schema}}.workflow_active a
           set state = 1, worker = me, claim = nextval({{schema.claims:regclass}}), signals = null, children = null
          from candidates l
         where a.run_id = l.run_id
        returning a.run_id, a.claim,
          -- A fork has steps before anybody has claimed it.
          l.claim = 0 and not exists (select from {{schema}}.workflow_steps s where s.run_id = a.run_id) as is_fresh
      )
      select taken || array_agg(m.run_id), claims || array_agg(m.claim), fresh || array_agg(m.is_fresh)
        into taken, claims, fresh
        from mine m;
    end if;

    update {{schema}}.workflow_runs r
       set status = 'running'
     where r.id = any (taken) and r.status = 'suspended';
  end if;

  select least(
           next_at,
           (select min(a.due_at) from {{schema}}.workflow_active a where a.state = 2 and a.due_at < 'infinity'),
           (select min(a.deadline_at) from {{schema}}.workflow_active a where a.deadline_at is not null and a.ending is null),
           (
             select min(l.expires_at)
               from (select distinct a.worker from {{schema}}.workflow_active a where a.state = 1 and a.worker <> me) w
               join nestbox.leases l on l.name = w.worker and l.owner is not null
           )
         )
    into next_at;

  return query
    select taken[i], claims[i], fresh[i], null::float8 from generate_subscripts(taken, 1) as i
    union all
    select null, null, null, extract(epoch from next_at - clock_timestamp())::float8 * 1000;
end
$function$;
