-- Deletes what everybody has had the time to read, and no history needs any more. One at a time does it.
--
-- keep_ms   how long a message stays at the least
-- grown     topics whose histories may have grown over their size
-- max_rows  at most so many of each kind
--
-- Returns how many were deleted.
create or replace function {{schema.name+_trim}}(keep_ms double precision, grown text[], max_rows integer)
returns integer
language plpgsql volatile
as $function$
declare
  deleted integer;
  of_topic text;
  history {{schema.name+_topics}}%rowtype;
  before constant timestamptz := clock_timestamp() - keep_ms * interval '1 millisecond';
  bound bigint;
  ended text[];
begin
  if not pg_try_advisory_xact_lock({{schema.name+_stream:regclass}}::oid::integer, 0) then
    return 0;
  end if;

  -- What is too much for a history leaves it, and goes below.
  foreach of_topic in array grown loop
    select * into history from {{schema.name+_topics}} t where t.topic = of_topic;
    continue when not found;
    select s.position into bound
      from {{schema.name+_stream}} s
     where s.topic = of_topic and s.expires_at is not null
     order by s.position desc offset history.size limit 1;
    continue when not found;
    update {{schema.name+_stream}} s
       set expires_at = '-infinity'
     where s.topic = of_topic and s.position <= bound and s.expires_at > '-infinity';
  end loop;

  with old as (
    select s.position
      from {{schema.name+_stream}} s
     where s.created_at < before
       and (s.expires_at is null or s.expires_at <= clock_timestamp())
     order by s.created_at
     limit max_rows
  ), gone as (
    delete from {{schema.name+_stream}} s using old where s.position = old.position
    returning s.position, s.topic, s.expires_at
  ), floors as (
    update {{schema.name+_topics}} t
       set floor = greatest(t.floor, g.position)
      from (select topic, max(position) as position from gone where expires_at is not null group by topic) g
     where t.topic = g.topic
  ), noted as (
    update {{schema.name+_trimmed}} t
       set position = greatest(t.position, g.position)
      from (select max(position) as position from gone) g
     where g.position is not null
  )
  select count(*) into deleted from gone;

  -- A history without messages has ended. A publisher who is about to go on with it holds its row; one who has just
  -- done so is seen by the second statement, whose snapshot is taken when the rows are ours.
  ended := array(
    select c.topic
      from {{schema.name+_topics}} c
     where c.floor > 0
       and not exists (
         select from {{schema.name+_stream}} s where s.topic = c.topic and s.expires_at is not null
       )
     order by c.topic
     limit max_rows
       for update skip locked
  );
  delete from {{schema.name+_topics}} t
   where t.topic = any (ended)
     and not exists (
       select from {{schema.name+_stream}} s where s.topic = t.topic and s.expires_at is not null
     );
  return deleted;
end
$function$;
