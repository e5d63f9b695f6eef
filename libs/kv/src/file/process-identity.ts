import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { errorCode } from './durable-file.js';

const run = promisify(execFile);

/** Whether there is a process of this number. */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // Not ours to signal, but there.
    return errorCode(error) === 'EPERM';
  }
}

/**
 * When a process was started, as a text to compare: numbers of processes are used again, most of all in containers,
 * where the first one is always 1. Undefined where it cannot be told.
 */
export async function startOf(pid: number): Promise<string | undefined> {
  try {
    if (process.platform === 'linux') {
      const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
      const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8');
      // The name in parentheses may contain anything; field 22, the start in ticks since boot, is the 20th after it.
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return `${boot.trim()} ${fields[19]}`;
    }
    if (process.platform === 'win32') return undefined;
    const { stdout } = await run('ps', ['-o', 'lstart=', '-p', String(pid)], {
      env: { ...process.env, LC_ALL: 'C' },
    });
    return stdout.trim() || undefined;
  } catch {
    // It has just ended, or the system does not tell; then only the number counts.
    return undefined;
  }
}
