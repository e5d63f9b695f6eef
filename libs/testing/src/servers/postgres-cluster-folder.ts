import { execFile } from 'node:child_process';
import { chmod, chown, cp, mkdtemp, rename, rm, stat, mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import type { PostgresBinaries } from './postgres-binaries.js';
import type { SystemUser } from './system-user.js';

const run = promisify(execFile);

/** Makes a temporary folder with a fresh database cluster in `data`, owned by whom the server runs as. */
export async function createClusterFolder(binDir: string, user: SystemUser | undefined): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'nestbox-postgres-'));
  const data = join(folder, 'data');
  await mkdir(data, { mode: 0o700 });
  if (user !== undefined) {
    await chmod(folder, 0o755);
    await Promise.all([folder, data].map((path) => chown(path, user.uid, user.gid)));
  }
  const args = [
    '-D',
    data,
    '-U',
    'postgres',
    '--auth=trust',
    '--encoding=UTF8',
    '--locale=C.UTF-8',
    '--no-sync',
  ];
  // macOS has no C.UTF-8.
  const locale = process.platform === 'darwin' ? ['--locale=C'] : [];
  await run(join(binDir, 'initdb'), [...args, ...locale], {
    cwd: folder,
    ...(user && { uid: user.uid, gid: user.gid }),
  });
  return folder;
}

/**
 * A folder with the binaries that `user` may use: the installed one, or a copy in the temporary folder when a folder
 * above it is closed to others, as root's home is.
 */
export async function accessibleBinDir(
  { binDir, major }: PostgresBinaries,
  user?: SystemUser,
): Promise<string> {
  if (user === undefined || (await isOpenToOthers(binDir))) return binDir;
  const installation = dirname(binDir);
  const copy = join(tmpdir(), `nestbox-postgres-${major}-${process.arch}-binaries`);
  const copiedBinDir = join(copy, basename(binDir));
  if (await isOurs(copiedBinDir)) return copiedBinDir;
  const draft = await mkdtemp(`${copy}-`);
  await cp(installation, draft, { recursive: true, verbatimSymlinks: true });
  await chmod(draft, 0o755);
  try {
    await rename(draft, copy);
  } catch (error) {
    // Another process was quicker; its copy is as good.
    await rm(draft, { recursive: true, force: true });
    if (!(await isOurs(copiedBinDir))) throw error;
  }
  return copiedBinDir;
}

async function isOpenToOthers(folder: string): Promise<boolean> {
  for (let path = folder; ; path = dirname(path)) {
    const { mode } = await stat(path);
    if ((mode & 0o001) === 0) return false;
    if (path === dirname(path)) return true;
  }
}

/** Whether it is there and nobody else put it there: anybody may write to the temporary folder. */
async function isOurs(path: string): Promise<boolean> {
  return stat(path).then(
    ({ uid }) => uid === process.getuid?.(),
    () => false,
  );
}
