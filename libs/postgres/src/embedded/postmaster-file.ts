import { readFile, readlink, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { identify } from './process-identity.js';

/** What a running server says about itself in `postmaster.pid`. */
export interface Postmaster {
  pid: number;
  port: number;
  /** `starting`, `stopping`, `ready` or `standby`. */
  status: string;
}

/** Undefined when no server runs on that data, or none has got so far as to say so. */
export async function readPostmasterFile(dataDir: string): Promise<Postmaster | undefined> {
  let lines: string[];
  try {
    lines = (await readFile(join(dataDir, 'postmaster.pid'), 'utf8')).split('\n');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  // pid, data folder, start time, port, socket folder, address, shared memory, status
  const [pid, , , port, , , , status] = lines;
  if (!pid) return undefined;
  return { pid: Number(pid), port: Number(port ?? 0), status: status?.trim() ?? 'starting' };
}

/** Whether a process is the server of that data; its id may have been given to another one since. */
export async function servesData(pid: number, dataDir: string): Promise<boolean> {
  if ((await identify(pid)) === undefined) return false;
  if (process.platform !== 'linux') return true;
  // A server works in its data folder.
  const folder = await readlink(`/proc/${pid}/cwd`).catch(() => undefined);
  return folder === (await realpath(dataDir));
}
