-- The name of the table that holds one partition of a collection. No collection's own name begins like it.
create or replace function {{schema}}.emt_collection_partition(collection text, suffix text) returns text
language sql immutable
as $function$
  select 'emt_c_'
      || case
           when octet_length(collection) > 24
             then regexp_replace(left(collection, 8), '[^a-zA-Z0-9]', '_', 'g')
               || '_' || left(encode(sha256(convert_to(collection, 'UTF8')), 'hex'), 15)
           else collection
         end
      || '_' || suffix
$function$;
