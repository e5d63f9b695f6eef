-- Drops each table, where it is there, and gives its name, grants and indexes to its shadow. Names of indexes and
-- partitions follow. What depends on a table that is dropped, such as a view, stops it; so does a shadow that is not there.
create or replace function {{schema}}.emt_swap_tables(names text[], shadows text[]) returns void
language plpgsql volatile
as $function$
declare
  target text;
  shadow text;
  shadow_table regclass;
  old_grants aclitem[];
  old_owner oid;
  renames text[];
  each_rename text;
  each_grant record;
  old_indexes text[];
  each_index text;
begin
  -- The same lock as that of new collections.
  perform pg_advisory_xact_lock(hashtext('nestbox event store'), hashtext({{schema:literal}}));
  for target, shadow in
    select s.name, s.shadow from unnest(names, shadows) as s (name, shadow) order by s.name collate "C"
  loop
    shadow_table := to_regclass(format('%I.%I', {{schema:literal}}, shadow));
    if shadow_table is null then
      raise exception 'relation "%.%" does not exist', {{schema:literal}}, shadow using errcode = 'undefined_table';
    end if;
    select c.relacl, c.relowner
      into old_grants, old_owner
      from pg_catalog.pg_class c
     where c.oid = to_regclass(format('%I.%I', {{schema:literal}}, target));
    -- Of a table that the application creates: an index with a name of its own cannot be made beside the old one.
    select array_agg(pg_catalog.pg_get_indexdef(o.indexrelid) order by o.indexrelid)
      into old_indexes
      from pg_catalog.pg_index o
      join pg_catalog.pg_class t on t.oid = o.indrelid
     where t.oid = to_regclass(format('%I.%I', {{schema:literal}}, target))
       and t.relkind = 'r'
       and not exists (
         select from pg_catalog.pg_constraint k where k.conindid = o.indexrelid and k.conrelid = o.indrelid
       )
       and not exists (
         select from pg_catalog.pg_index n
          where n.indrelid = shadow_table
            and (n.indkey::text, n.indclass::text, n.indcollation::text, n.indoption::text, n.indisunique)
              = (o.indkey::text, o.indclass::text, o.indcollation::text, o.indoption::text, o.indisunique)
            and (pg_catalog.pg_get_expr(n.indexprs, n.indrelid), pg_catalog.pg_get_expr(n.indpred, n.indrelid))
              is not distinct from
                (pg_catalog.pg_get_expr(o.indexprs, o.indrelid), pg_catalog.pg_get_expr(o.indpred, o.indrelid))
       );
    execute format('drop table if exists %I.%I', {{schema:literal}}, target);

    -- Collected before the first of them changes what the catalogs say.
    with tables as (
      select c.oid, c.relname::text as old_name, target as new_name
        from pg_catalog.pg_class c
       where c.oid = shadow_table
      union all
      select c.oid, c.relname::text, {{schema}}.emt_collection_partition(target, p.suffix)
        from pg_catalog.pg_inherits i
        join pg_catalog.pg_class c on c.oid = i.inhrelid
        join {{schema}}.emt_partitions p on {{schema}}.emt_collection_partition(shadow, p.suffix) = c.relname
       where i.inhparent = shadow_table
    ), named as (
      select 'table' as kind, t.old_name, t.new_name from tables t
      union all
      select 'index', x.relname::text, t.new_name || substr(x.relname, length(t.old_name) + 1)
        from tables t
        join pg_catalog.pg_index i on i.indrelid = t.oid
        join pg_catalog.pg_class x on x.oid = i.indexrelid
       where starts_with(x.relname, t.old_name)
    )
    select array_agg(
             format('alter %s %I.%I rename to %I', n.kind, {{schema:literal}}, n.old_name, n.new_name)
             order by n.old_name
           )
      into renames
      from named n
     where octet_length(n.new_name) <= 63
       and to_regclass(format('%I.%I', {{schema:literal}}, n.new_name)) is null;
    foreach each_rename in array renames loop
      execute each_rename;
    end loop;

    foreach each_index in array coalesce(old_indexes, '{}') loop
      begin
        execute each_index;
      exception
        -- The new version has other columns, or another index of this name.
        when undefined_column or duplicate_table then
          null;
      end;
    end loop;

    for each_grant in
      select g.privilege_type, g.is_grantable,
             case when g.grantee = 0 then 'public' else quote_ident(r.rolname) end as role
        from aclexplode(old_grants) g
        left join pg_catalog.pg_roles r on r.oid = g.grantee
       where g.grantee <> old_owner and (g.grantee = 0 or r.oid is not null)
    loop
      execute format(
        'grant %s on %I.%I to %s%s',
        each_grant.privilege_type, {{schema:literal}}, target, each_grant.role,
        case when each_grant.is_grantable then ' with grant option' else '' end
      );
    end loop;
    delete from {{schema}}.emt_collections c where c.name = target;
    update {{schema}}.emt_collections c set name = target where c.name = shadow;
  end loop;
end
$function$;
