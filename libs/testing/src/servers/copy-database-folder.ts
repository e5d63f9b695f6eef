import { chmod, chown, copyFile, mkdir, readdir, readlink, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { SystemUser } from './system-user.js';

/** What belongs to the running server, or is not part of a base backup; of the folders, the contents. */
const LEFT_OUT = new Set([
  'backup_label',
  'pg_dynshmem',
  'pg_notify',
  'pg_replslot',
  'pg_serial',
  'pg_snapshots',
  'pg_stat_tmp',
  'pg_subtrans',
  'pg_wal',
  'pgsql_tmp',
  'postmaster.opts',
  'postmaster.pid',
  'standby.signal',
]);

/**
 * Copies the data folder of a server that runs, between `pg_backup_start` and `pg_backup_stop`. Files that vanish
 * meanwhile are left out, as a base backup may.
 */
export async function copyDatabaseFolder(from: string, to: string, user?: SystemUser): Promise<void> {
  await makeFolder(to, user);
  const entries = await orAbsent(readdir(from, { withFileTypes: true }));
  for (const entry of entries ?? []) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) {
      if (LEFT_OUT.has(entry.name)) await makeFolder(target, user);
      else await copyDatabaseFolder(source, target, user);
    } else if (entry.isSymbolicLink()) {
      await symlink(await readlink(source), target);
    } else if (entry.isFile() && !LEFT_OUT.has(entry.name)) {
      await orAbsent(copyFile(source, target).then(() => own(target, user)));
    }
  }
}

async function makeFolder(path: string, user: SystemUser | undefined): Promise<void> {
  await mkdir(path, { recursive: true });
  await chmod(path, 0o700);
  await own(path, user);
}

/** Makes it the server's. */
export async function own(path: string, user: SystemUser | undefined): Promise<void> {
  if (user !== undefined) await chown(path, user.uid, user.gid);
}

async function orAbsent<T>(done: Promise<T>): Promise<T | undefined> {
  try {
    return await done;
  } catch (error) {
    if ((error as { code?: unknown }).code === 'ENOENT') return undefined;
    throw error;
  }
}
