const TIME = /^(\d{4}-\d{2}-\d{2})T(\d{2})-(\d{2})-(\d{2}(?:\.\d{3})?)Z$/;

/** What the names of all backups of a table begin with. */
export function backupPrefix(table: string): string {
  return `${table}_backup_`;
}

/**
 * The name of a backup: `kv_store_backup_2025-11-01T16-35-00Z`.
 *
 * @param withMs to tell it from another one of the same second
 */
export function backupName(table: string, at: Date, withMs: boolean): string {
  const time = at.toISOString();
  return backupPrefix(table) + (withMs ? time : `${time.slice(0, 19)}Z`).replaceAll(':', '-');
}

/** The time in the name of a backup of exactly this table; undefined for any other name. */
export function backupTime(table: string, name: string): Date | undefined {
  const prefix = backupPrefix(table);
  if (!name.startsWith(prefix)) return undefined;
  const match = TIME.exec(name.slice(prefix.length));
  if (match === null) return undefined;
  const [, day, hours, minutes, seconds] = match;
  const time = new Date(`${day}T${hours}:${minutes}:${seconds}Z`);
  return Number.isNaN(time.getTime()) ? undefined : time;
}
