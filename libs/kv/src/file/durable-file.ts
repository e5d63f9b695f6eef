import { open, rename, stat, unlink, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

/** On Windows a virus scanner or an indexer may hold a file for a moment. */
const RENAME_ATTEMPTS = process.platform === 'win32' ? 10 : 1;

/**
 * Replaces a file's content so that a crash at any moment leaves the old or the new one, and that the new one is on
 * the disk when this resolves. (write-file-atomic and atomically make a single write call and do not look at how much
 * of it was written, so that a disk that runs full costs them the file; hence our own.)
 *
 * @param temporary a path on the same file system that nobody else uses
 */
export async function replaceFile(path: string, temporary: string, content: string): Promise<void> {
  const before = await stat(path).catch(absent);
  const handle = await open(temporary, 'w', before?.mode);
  try {
    try {
      // Goes on until all is written, or fails.
      await handle.writeFile(content);
      if (before !== undefined) await keepOwner(handle, before);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await renameOver(temporary, path);
  } catch (error) {
    // What is left of it is overwritten by the next attempt; the first error is the one that matters.
    await unlink(temporary).catch(() => undefined);
    throw error;
  }
  await syncFolder(dirname(path));
}

/** For `catch`: undefined where there is no such file. */
export function absent(error: unknown): undefined {
  if (errorCode(error) === 'ENOENT') return undefined;
  throw error;
}

/** The code of a system error. */
export function errorCode(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException | undefined)?.code;
}

async function keepOwner(
  handle: FileHandle,
  { uid, gid, mode }: { uid: number; gid: number; mode: number },
): Promise<void> {
  const own = await handle.stat();
  // The umask may have taken something from the mode that `open` was given.
  if (own.mode !== mode) await handle.chmod(mode & 0o7777);
  // Only root may give files away; anybody else keeps what it writes.
  if (own.uid !== uid || own.gid !== gid) await handle.chown(uid, gid).catch(() => undefined);
}

async function renameOver(from: string, to: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await rename(from, to);
      return;
    } catch (error) {
      const passing = ['EPERM', 'EACCES', 'EBUSY'].includes(errorCode(error) ?? '');
      if (!passing || attempt >= RENAME_ATTEMPTS) throw error;
      await delay(10 * attempt);
    }
  }
}

/** A new name is on the disk only when its folder is. Windows cannot, and need not, do that. */
async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
