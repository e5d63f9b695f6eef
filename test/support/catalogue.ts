import { Postgres } from '@nestbox/postgres';

/** What a database consists of: a line or a text for each thing in it, by its kind and name. */
export type Catalogue = Record<string, string>;

const SYSTEM = `(n.nspname ~ '^pg_' or n.nspname = 'information_schema')`;

/**
 * Each gives rows of (name, text). What differs from one creation to the next stands in none, such as oids, and the
 * version of a column that some minor releases of PostgreSQL keep in its options (`pg_attver`).
 */
const QUERIES: Record<string, string> = {
  schema: `
    select n.nspname as name,
           concat_ws(' ', 'owner', n.nspowner::regrole, n.nspacl::text, obj_description(n.oid, 'pg_namespace')) as text
      from pg_namespace n where not ${SYSTEM}`,
  relation: `
    select c.oid::regclass::text as name,
           concat_ws(' ', c.relkind, c.relpersistence, c.relreplident, 'owner', c.relowner::regrole,
             (select 'using ' || a.amname from pg_am a where a.oid = c.relam), c.reloptions::text,
             (select t.reloptions::text from pg_class t where t.oid = c.reltoastrelid),
             pg_get_partkeydef(c.oid), pg_get_expr(c.relpartbound, c.oid), c.relacl::text, c.relrowsecurity,
             obj_description(c.oid, 'pg_class'),
             case when c.relkind in ('v', 'm') then pg_get_viewdef(c.oid) end) as text
      from pg_class c join pg_namespace n on n.oid = c.relnamespace where not ${SYSTEM}`,
  columns: `
    select c.oid::regclass::text as name,
           string_agg(
             concat_ws(' ', a.attname, format_type(a.atttypid, a.atttypmod),
               case when a.attnotnull then 'not null' end,
               'default ' || pg_get_expr(d.adbin, d.adrelid), nullif(a.attidentity, ''), nullif(a.attgenerated, ''),
               (select 'collate ' || l.collname from pg_collation l where l.oid = a.attcollation),
               'storage ' || a.attstorage::text, nullif(a.attcompression, ''), a.attacl::text,
               (select array_agg(o)::text from unnest(a.attoptions) o where o !~ '^pg_attver='),
               case when a.attisdropped then 'dropped' end, col_description(c.oid, a.attnum)),
             E'\\n' order by a.attnum) as text
      from pg_class c join pg_namespace n on n.oid = c.relnamespace
      join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
      left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
     where not ${SYSTEM} and c.relkind in ('r', 'p', 'v', 'm')
     group by c.oid`,
  constraint: `
    select k.conrelid::regclass || '.' || k.conname as name,
           concat_ws(' ', pg_get_constraintdef(k.oid), k.convalidated, k.conislocal, k.coninhcount) as text
      from pg_constraint k join pg_namespace n on n.oid = k.connamespace where not ${SYSTEM}`,
  index: `
    select i.indexrelid::regclass::text as name,
           concat_ws(' ', pg_get_indexdef(i.indexrelid), i.indisvalid, i.indisready, i.indisclustered) as text
      from pg_index i join pg_class c on c.oid = i.indexrelid
      join pg_namespace n on n.oid = c.relnamespace where not ${SYSTEM}`,
  sequence: `
    select s.seqrelid::regclass::text as name,
           concat_ws(' ', format_type(s.seqtypid, null), s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache,
             s.seqcycle, 'owned by ' || d.refobjid::regclass || '.' || a.attname) as text
      from pg_sequence s join pg_class c on c.oid = s.seqrelid
      join pg_namespace n on n.oid = c.relnamespace
      left join pg_depend d on d.classid = 'pg_class'::regclass and d.objid = s.seqrelid and d.deptype in ('a', 'i')
      left join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
     where not ${SYSTEM}`,
  function: `
    select p.oid::regprocedure::text as name,
           concat_ws(' ', pg_get_functiondef(p.oid), 'owner', p.proowner::regrole, p.proacl::text,
             obj_description(p.oid, 'pg_proc')) as text
      from pg_proc p join pg_namespace n on n.oid = p.pronamespace where not ${SYSTEM} and p.prokind <> 'a'`,
  trigger: `
    select t.tgrelid::regclass || '.' || t.tgname as name, concat_ws(' ', pg_get_triggerdef(t.oid), t.tgenabled) as text
      from pg_trigger t where not t.tgisinternal`,
  type: `
    select t.oid::regtype::text as name, concat_ws(' ', t.typtype, obj_description(t.oid, 'pg_type')) as text
      from pg_type t join pg_namespace n on n.oid = t.typnamespace
     where not ${SYSTEM} and t.typtype in ('d', 'e', 'r') or t.typtype = 'c' and not ${SYSTEM}
       and exists (select from pg_class c where c.oid = t.typrelid and c.relkind = 'c')`,
  policy: `select p.polrelid::regclass || '.' || p.polname as name, p.polcmd::text as text from pg_policy p`,
  privileges: `
    select concat_ws(' ', d.defaclrole::regrole, d.defaclnamespace::regnamespace, d.defaclobjtype) as name,
           d.defaclacl::text as text
      from pg_default_acl d`,
  extension: `select e.extname as name, e.extversion as text from pg_extension e`,
};

const RECORDS = `
  select concat_ws(' ', lib, target, name) as name, concat_ws(' ', version, checksum, release, breaking) as text
    from nestbox.migrations`;

/** Where sequences stand, and how many rows tables have. Both tell what migrations have written. */
const CONTENTS = `
  select c.oid::regclass::text as name,
         case c.relkind when 'S' then coalesce(pg_sequence_last_value(c.oid)::text, 'untouched')
           else (xpath('/row/n/text()',
             query_to_xml(format('select count(*) as n from %s', c.oid::regclass), false, true, '')))[1]::text
         end as text
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
   where not ${SYSTEM} and c.relkind in ('S', 'r')`;

/**
 * Reads all that a database has beyond what PostgreSQL brings.
 *
 * @param options.without names of things to leave out, such as the table in which TypeORM writes down what it ran
 * @param options.contents whether to count rows and read sequences, too
 */
export async function readCatalogue(
  url: string,
  { without, contents = false }: { without?: RegExp; contents?: boolean } = {},
): Promise<Catalogue> {
  const postgres = new Postgres({ url, options: { max: 1 } });
  try {
    // Names are printed with their schema.
    await postgres.query(`set search_path = ''`);
    const [found] = await postgres.query(
      `select exists (select from pg_namespace n where n.nspname = 'nestbox') as present`,
    );
    const queries = {
      ...QUERIES,
      ...(found!['present'] === true && { record: RECORDS }),
      ...(contents && { contents: CONTENTS }),
    };
    const catalogue: Catalogue = {};
    for (const [kind, query] of Object.entries(queries)) {
      const rows = await postgres.query<{ name: string; text: string }>(
        `select name::text as name, text from (${query}) as q order by 1, 2`,
      );
      for (const { name, text } of rows) {
        if (without?.test(name) !== true) catalogue[`${kind} ${name}`] = text;
      }
    }
    return catalogue;
  } finally {
    await postgres.close();
  }
}
