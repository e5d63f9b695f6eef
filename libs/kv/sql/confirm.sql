-- Returns the version that a key was inserted with, and fails in the rare case that the key was deleted by another
-- transaction after the calling statement began, with that version or a higher one. Nothing has happened then.
create or replace function {{schema.table+_confirm}}(new_key text, new_version bigint) returns bigint
language plpgsql volatile
as $function$
begin
  if {{schema.table+_next_version}}(new_key) > new_version then
    raise exception 'key "%" was deleted meanwhile', new_key using errcode = 'serialization_failure';
  end if;
  return new_version;
end
$function$;
