-- The history of a topic up to the watermark.
--
-- since     only what is behind this position; null for the newest ones
-- max_rows  at most so many: the oldest with since, else the newest
--
-- The first row has no sender: it has the position of the newest message, in kept_in the epoch, and in content the
-- highest position that is not in the history any more, as text. No row where the topic has no history.
create or replace function {{schema.name+_history}}(of_topic text, since bigint, max_rows integer)
returns table (at bigint, from_node text, is_bytes boolean, not_for text, content bytea, kept_in text)
language plpgsql volatile
as $function$
declare
  up_to bigint := nestbox.log_watermark({{schema.name+_position:regclass}});
  history {{schema.name+_topics}}%rowtype;
  gone bigint;
begin
  select * into history from {{schema.name+_topics}} t where t.topic = of_topic;
  if not found then
    return;
  end if;
  gone := greatest(
    history.floor,
    (select s.position
       from {{schema.name+_stream}} s
      where s.topic = of_topic and s.expires_at is not null and s.position <= up_to
      order by s.position desc offset history.size limit 1),
    (select max(s.position)
       from {{schema.name+_stream}} s
      where s.topic = of_topic and s.expires_at <= clock_timestamp() and s.position <= up_to)
  );
  -- With a time to live that was shortened, the newest message may be deleted before older ones.
  at := greatest(
    history.floor,
    (select max(s.position)
       from {{schema.name+_stream}} s
      where s.topic = of_topic and s.expires_at is not null and s.position <= up_to)
  );
  kept_in := history.epoch;
  content := convert_to(gone::text, 'UTF8');
  return next;
  if since is null then
    return query
      select * from (
        select s.position, s.origin, s.is_binary, s.except_ids::text, s.payload, history.epoch
          from {{schema.name+_stream}} s
         where s.topic = of_topic and s.expires_at is not null and s.position > gone and s.position <= up_to
         order by s.position desc
         limit max_rows
      ) newest
      order by 1;
  else
    return query
      select s.position, s.origin, s.is_binary, s.except_ids::text, s.payload, history.epoch
        from {{schema.name+_stream}} s
       where s.topic = of_topic and s.expires_at is not null
         and s.position > greatest(gone, since) and s.position <= up_to
       order by s.position
       limit max_rows;
  end if;
end
$function$;
