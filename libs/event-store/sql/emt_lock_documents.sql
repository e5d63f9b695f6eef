-- Locks documents of a collection until the transaction is over, those included that are not there, and returns those
-- that are. The keys must be distinct.
--
-- An absent key is inserted and deleted again: whoever wants to insert it too then waits for the end of this
-- transaction, since only then it is known that the row did not come back by a savepoint's rollback. So an absent
-- document is locked like any other, and nothing is left to tidy up. Rows that are there are locked, not changed.
create or replace function {{schema}}.emt_lock_documents(collection text, partitions text[], ids text[])
returns table (ord integer, data text, version bigint)
language plpgsql volatile
as $function$
declare
  target constant text := format('%I.%I', {{schema:literal}}, collection);
  absent integer;
begin
  -- In the order of the keys, so that two callers never wait for each other in a circle.
  execute format(
    'insert into %s as d (partition, _id, data, _version)
     select k.partition, k.id, ''{}'', 0
       from unnest($1, $2) as k (partition, id)
      order by k.partition collate "C", k.id collate "C"
     on conflict (partition, _id) do update set data = excluded.data where false',
    target
  ) using partitions, ids;
  get diagnostics absent = row_count;

  if absent > 0 then
    execute format(
      'delete from %s d using unnest($1, $2) as k (partition, id)
        where d.partition = k.partition and d._id = k.id and d._version = 0',
      target
    ) using partitions, ids;
  end if;
  -- A statement of its own, whose snapshot is newer than the locks.
  if absent < cardinality(ids) then
    return query execute format(
      'select k.ord::integer, d.data::text, d._version
         from unnest($1, $2) with ordinality as k (partition, id, ord)
         join %s d on d.partition = k.partition and d._id = k.id',
      target
    ) using partitions, ids;
  end if;
end
$function$;
