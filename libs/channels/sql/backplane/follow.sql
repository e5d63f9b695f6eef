-- What is new in the stream behind a position, up to the watermark, in the order of positions.
--
-- node      the instance that reads: what it published itself is left out, unless it is kept in a history
-- topics    what it wants; null for every topic
-- max_rows  at most so many messages, and not many more than 8 MiB of them
--
-- The last row has no topic: it says how far the reader has come, in is_bytes whether there may be more, and in kept_in
-- the highest position ever deleted.
create or replace function {{schema.name+_follow}}(after_position bigint, node text, topics text[], max_rows integer)
returns table (
  at bigint, in_topic text, from_node text, is_bytes boolean, not_for text, content bytea, kept_in text
)
language plpgsql volatile
as $function$
declare
  -- Each statement in here has a snapshot of its own, so that those below see all up to the watermark.
  up_to bigint := nestbox.log_watermark({{schema.name+_position:regclass}});
  reached bigint;
  count_of_rows integer := 0;
  size_of_rows bigint := 0;
  is_full boolean := false;
begin
  for at, in_topic, from_node, is_bytes, not_for, content, kept_in in
    select s.position, s.topic, s.origin, s.is_binary, s.except_ids::text, s.payload,
           case when s.expires_at is not null then t.epoch end
      from {{schema.name+_stream}} s
      left join {{schema.name+_topics}} t on t.topic = s.topic
     where s.position > after_position
       and s.position <= up_to
       and (topics is null or s.topic = any (topics))
       and (s.expires_at is not null or s.origin <> node)
     order by s.position
     limit max_rows
  loop
    count_of_rows := count_of_rows + 1;
    reached := at;
    return next;
    size_of_rows := size_of_rows + octet_length(content);
    is_full := count_of_rows >= max_rows or size_of_rows >= 8 * 1024 * 1024;
    exit when is_full;
  end loop;
  if not is_full then
    -- A position that exists, since positions that were only drawn may be drawn again after a crash of the server.
    select max(s.position) into reached from {{schema.name+_stream}} s where s.position <= up_to;
  end if;
  at := greatest(after_position, reached);
  in_topic := null;
  from_node := null;
  is_bytes := is_full;
  not_for := null;
  content := null;
  select t.position::text into kept_in from {{schema.name+_trimmed}} t;
  return next;
end
$function$;
