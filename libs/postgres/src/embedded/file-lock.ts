import { randomUUID } from 'node:crypto';
import { readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { EmbeddedPostgresError } from '../postgres.errors.js';
import { identify, stillRuns } from './process-identity.js';

const PAUSE_MS = 25;
/** Its writer has died between creating and writing a file that is empty for so long. */
const EMPTY_IS_STALE_MS = 5_000;

/**
 * Runs a function while no other process does so with the same lock file. The lock of a process that has died is
 * taken over.
 *
 * @throws EmbeddedPostgresError when the lock cannot be had within `timeoutMs`
 */
export async function withFileLock<T>(file: string, timeoutMs: number, fn: () => Promise<T>): Promise<T> {
  const holder = `${await identify(process.pid)}\n${randomUUID()}`;
  await acquire(file, holder, timeoutMs);
  try {
    return await fn();
  } finally {
    await rm(file, { force: true });
  }
}

async function acquire(file: string, holder: string, timeoutMs: number): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    if (await create(file, holder)) return;
    const current = await readFile(file, 'utf8').catch(() => undefined);
    if (current !== undefined && (await isStale(file, current))) {
      await removeStale(file, current);
    } else if (performance.now() > deadline) {
      throw new EmbeddedPostgresError(
        `another process holds ${file}. Remove the file if that process is gone.`,
      );
    } else {
      await sleep(PAUSE_MS);
    }
  }
}

async function isStale(file: string, content: string): Promise<boolean> {
  if (content !== '') return !(await stillRuns(content.split('\n')[0]!));
  const entry = await stat(file).catch(() => undefined);
  return entry !== undefined && Date.now() - entry.mtimeMs > EMPTY_IS_STALE_MS;
}

async function create(file: string, holder: string): Promise<boolean> {
  try {
    await writeFile(file, holder, { flag: 'wx', mode: 0o600 });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** Takes the file away under a name of our own first: another process may have taken the lock over meanwhile. */
async function removeStale(file: string, stale: string): Promise<void> {
  const aside = `${file}.${randomUUID()}`;
  try {
    await rename(file, aside);
  } catch {
    // Somebody else has removed it.
    return;
  }
  if ((await readFile(aside, 'utf8')) === stale) await rm(aside, { force: true });
  else await rename(aside, file);
}
