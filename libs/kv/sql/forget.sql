-- Removes from the history of keys what is older than their newest `keep_states` versions.
create or replace function {{schema.table+_forget}}(
  written_keys text[],
  new_versions bigint[],
  keep_states integer
) returns void
language plpgsql volatile
as $function$
begin
  for i in 1 .. cardinality(written_keys) loop
    delete from {{schema.table+_history}} h
     where h.key = written_keys[i]
       and h.version <= new_versions[i] - keep_states;
  end loop;
end
$function$;
