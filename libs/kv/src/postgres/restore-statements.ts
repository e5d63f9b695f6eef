import type { KvTable } from './kv-table.js';

/** The statements that make the entries those of a backup, to be run in one transaction in this order. */
export interface RestoreStatements {
  /** Keeps writers out; readers go on. */
  lock: string;
  /** Gives whether changes are `logged`, and gets ready to do so. */
  enterLog: string;
  /** Deletes what the backup does not have. `$1`: whether to log. */
  removeOthers: string;
  /** Stores what the backup has; gives how many entries these are. `$1`: whether to log. */
  putBack: string;
}

/**
 * @param backup the quoted name of the backup
 * @param columns those that the backup has; `version`, `created_at` and `expires_at` may be missing
 */
export function restoreStatements(
  table: KvTable,
  backup: string,
  columns: ReadonlySet<string>,
): RestoreStatements {
  const version = columns.has('version') ? 'b.version' : '0';
  const createdAt = columns.has('created_at')
    ? 'coalesce(b.created_at, statement_timestamp())'
    : 'statement_timestamp()';
  const expiresAt = columns.has('expires_at') ? 'b.expires_at' : 'null::timestamptz';
  const live = `(${expiresAt} is null or ${expiresAt} > clock_timestamp())`;
  const floor = `pg_sequence_last_value(${table.floor})`;
  return {
    lock: `lock table ${table.name} in share row exclusive mode`,
    enterLog: `select case when pg_sequence_last_value(${table.watched}) > 0
                           then nestbox.enter_log(${table.revision}) is not null
                           else false end as logged`,
    removeOthers: `
      with gone as (
        delete from ${table.name} t
         where not exists (select from ${backup} b where b.key = t.key and ${live})
        returning t.key, t.version + 1 as version,
                  case when t.expires_at <= clock_timestamp() then 'expire' else 'delete' end as type
      ), buried as (
        insert into ${table.tombstones} as b (key, version, deleted_at)
        select g.key, g.version, clock_timestamp() from gone g
        on conflict (key) do update
          set version = greatest(b.version, excluded.version), deleted_at = excluded.deleted_at
      ), logged as (
        insert into ${table.changes} (revision, key, version, type, at)
        select nextval(${table.revision}), g.key, g.version, g.type, clock_timestamp() from gone g where $1::boolean
      ), recorded as (
        insert into ${table.history} (key, version, deleted, at)
        select g.key, g.version, true, clock_timestamp()
          from gone g
         where exists (select from ${table.history} h where h.key = g.key)
      )
      select case when pg_sequence_last_value(${table.deletions}) = 0 then nextval(${table.deletions}) end
        from gone limit 1`,
    putBack: `
      with back as (
        insert into ${table.name} as t (key, value, version, created_at, updated_at, expires_at)
        select b.key, b.value,
               1 + greatest(${version}, ${floor}, (select x.version from ${table.tombstones} x where x.key = b.key)),
               ${createdAt}, statement_timestamp(), ${expiresAt}
          from ${backup} b
         where ${live}
        on conflict (key) do update
          set value = excluded.value,
              version = greatest(t.version + 1, excluded.version),
              created_at = excluded.created_at,
              updated_at = greatest(excluded.updated_at, t.updated_at),
              expires_at = excluded.expires_at
        returning t.key, t.value, t.version
      ), logged as (
        insert into ${table.changes} (revision, key, version, type, value, at)
        select nextval(${table.revision}), r.key, r.version, 'set', r.value, clock_timestamp()
          from back r
         where $1::boolean
      ), recorded as (
        insert into ${table.history} (key, version, value, deleted, at)
        select r.key, r.version, r.value, false, clock_timestamp()
          from back r
         where exists (select from ${table.history} h where h.key = r.key)
      )
      select count(*)::int as count from back`,
  };
}
