-- Deletes the events of a stream, and leaves a tombstone in the log. The stream's row stays, so that its name is not
-- used again. Returns whether there was anything to delete; or the version, where another was expected.
create or replace function {{schema}}.emt_delete_stream(
  in_partition text,
  stream text,
  expected bigint,
  out deleted boolean,
  out conflict bigint
)
language plpgsql volatile
as $function$
declare
  found_stream {{schema}}.emt_streams;
  positions bigint[];
begin
  perform nestbox.enter_log({{schema.sequence:regclass}});
  select s.* into found_stream
    from {{schema}}.emt_streams s
   where s.stream_id = stream and s.partition = in_partition
     for no key update;
  deleted := coalesce(not found_stream.is_deleted and found_stream.stream_position > 0, false);
  if not (case
       when expected = -1 then true
       when expected = -2 then deleted
       when expected = -3 then not deleted
       else expected = case when deleted then found_stream.stream_position else 0 end
     end)
  then
    conflict := case when deleted then found_stream.stream_position else 0 end;
    deleted := false;
  end if;
  if not deleted then
    return;
  end if;

  with gone as (
    delete from {{schema}}.emt_messages m where m.stream_id = stream and m.partition = in_partition
    returning m.global_position
  )
  select array_agg(g.global_position) into positions from gone g;
  -- Behind them, since who parks one holds it until that can be seen.
  delete from {{schema}}.emt_parked p where p.global_position = any (positions);
  delete from {{schema}}.emt_snapshots s where s.stream_id = stream and s.partition = in_partition;
  update {{schema}}.emt_streams s
     set is_deleted = true, stream_position = s.stream_position + 1
   where s.stream_id = stream and s.partition = in_partition;
  insert into {{schema}}.emt_messages (
    partition, stream_id, stream_type, stream_position, global_position, created_at,
    message_type, message_id, has_own_id, is_tombstone, message_data
  )
  values (
    in_partition, stream, found_stream.stream_type, found_stream.stream_position + 1,
    nextval({{schema.sequence:regclass}}), clock_timestamp(),
    '$StreamDeleted', gen_random_uuid()::text, false, true, '{}'
  );
end
$function$;
