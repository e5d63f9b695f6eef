import { randomUUID } from 'node:crypto';
import { link, open, readFile, rename, unlink } from 'node:fs/promises';
import { hostname } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { absent, errorCode } from './durable-file.js';
import { isRunning, startOf } from './process-identity.js';

interface Owner {
  id: string;
  pid: number;
  host: string;
  /** See {@link startOf}; absent where it cannot be told. */
  start?: string;
}

/** How long a lock file may be empty because its owner is about to write it. */
const WRITING_MS = 500;
/** Somebody who looks whether the owner is alive may have it out of its place for a moment. */
const MISSING_MS = 250;

/**
 * Keeps a second process, and a second adapter in this one, from writing the same file. The lock of a process that
 * has ended, however it ended, is taken over.
 */
export class FileLock {
  private constructor(
    private readonly path: string,
    private readonly content: string,
  ) {}

  /** @throws Error saying who holds the lock, and what to do */
  static async acquire(path: string, file: string): Promise<FileLock> {
    const owner: Owner = {
      id: randomUUID(),
      pid: process.pid,
      host: hostname(),
      start: await startOf(process.pid),
    };
    const content = JSON.stringify(owner);
    for (;;) {
      if (await create(path, content)) return new FileLock(path, content);
      const found = await read(path);
      if (found === undefined) continue;
      await assertStale(found, path, file);
      await removeStale(path, found, owner.id);
    }
  }

  /** @throws Error when somebody else has taken the lock, for instance after its file was deleted by hand */
  async assertHeld(): Promise<void> {
    if (await this.isHeld()) return;
    await delay(MISSING_MS);
    if (!(await this.isHeld())) {
      throw new Error(
        `its lock ${this.path} was removed or taken over, so another process may be writing the file.`,
      );
    }
  }

  async release(): Promise<void> {
    if (await this.isHeld()) await unlink(this.path).catch(absent);
  }

  private async isHeld(): Promise<boolean> {
    return (await readFile(this.path, 'utf8').catch(absent)) === this.content;
  }
}

/** False when there is a lock file already. */
async function create(path: string, content: string): Promise<boolean> {
  let handle;
  try {
    handle = await open(path, 'wx');
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return false;
    throw error;
  }
  try {
    await handle.writeFile(content);
  } finally {
    await handle.close();
  }
  return true;
}

/** The content of the lock file, once it is written; '' when its owner died before that. */
async function read(path: string): Promise<string | undefined> {
  const started = performance.now();
  for (;;) {
    const content = await readFile(path, 'utf8').catch(absent);
    if (content !== '' || performance.now() - started > WRITING_MS) return content;
    await delay(20);
  }
}

async function assertStale(content: string, path: string, file: string): Promise<void> {
  if (content === '') return;
  const owner = parseOwner(content);
  if (owner === undefined) {
    throw new Error(`${path} is not a lock file of this adapter. Delete it when no process uses ${file}.`);
  }
  if (owner.host !== hostname()) {
    throw new Error(
      `${file} is in use by process ${owner.pid} on the computer ${owner.host}. ` +
        `If that has ended, delete ${path}.`,
    );
  }
  if (!isRunning(owner.pid)) return;
  const start = await startOf(owner.pid);
  if (owner.start !== undefined && start !== undefined && start !== owner.start) return;
  const who = owner.pid === process.pid ? 'another FileAdapter in this process' : `process ${owner.pid}`;
  throw new Error(
    `${file} is in use by ${who}. A file serves one process; close the other one, or use PostgreSQL or Redis to share entries.`,
  );
}

function parseOwner(content: string): Owner | undefined {
  try {
    const { id, pid, host, start } = JSON.parse(content) as Partial<Owner>;
    if (typeof id !== 'string' || typeof host !== 'string' || !Number.isSafeInteger(pid)) return undefined;
    return { id, pid: pid!, host, start };
  } catch {
    // Not JSON, so not ours.
    return undefined;
  }
}

/** Removes a lock file, unless somebody else has replaced it since it was found stale. */
async function removeStale(path: string, content: string, id: string): Promise<void> {
  const aside = `${path}.${id}`;
  try {
    await rename(path, aside);
  } catch (error) {
    // Somebody else was faster.
    absent(error);
    return;
  }
  if ((await readFile(aside, 'utf8')) !== content) {
    // It is another one's, who is alive; back to its place, unless that is taken, which its owner will notice.
    await link(aside, path).catch(() => undefined);
  }
  await unlink(aside);
}
