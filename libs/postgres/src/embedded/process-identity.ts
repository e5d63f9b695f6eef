import { readFile } from 'node:fs/promises';

/**
 * Names a process for good: its id, and on Linux also when it was started, since ids are used again (in a container,
 * the same ones after every start).
 */
export async function identify(pid: number): Promise<string | undefined> {
  if (!isAlive(pid)) return undefined;
  if (process.platform !== 'linux') return String(pid);
  try {
    const fields = await readFile(`/proc/${pid}/stat`, 'utf8');
    // The second field, the name in parentheses, may hold anything; the start time is the 20th after it.
    const afterName = fields.slice(fields.lastIndexOf(')') + 2).split(' ');
    // A zombie has ended; nobody has asked it how.
    return afterName[0] === 'Z' ? undefined : `${pid} ${afterName[19]}`;
  } catch {
    return undefined;
  }
}

/** Whether a process still runs that {@link identify} named. */
export async function stillRuns(identity: string): Promise<boolean> {
  return (await identify(Number.parseInt(identity, 10))) === identity;
}

/** Whether a process with that id exists. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
