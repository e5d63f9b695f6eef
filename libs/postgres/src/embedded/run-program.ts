import { spawn, type ChildProcess, type StdioOptions } from 'node:child_process';
import { open, type FileHandle } from 'node:fs/promises';
import { isOpenToOthers } from './paths.js';
import type { SystemUser } from './system-user.js';

export interface Program {
  command: string;
  args: readonly string[];
  /** The data folder; passed as `-D`. */
  dataDir: string;
  /** Whom to run it as, if not as this process. */
  user: SystemUser | undefined;
  /** Where stdout and stderr go. */
  output: 'pipe' | number;
  /** Whether it lives on when this process ends, or is interrupted from the keyboard. */
  detached?: boolean;
}

/** The descriptor of the data folder in the child, after stdin, stdout and stderr. */
const FOLDER_FD = 3;

/**
 * Starts one of PostgreSQL's programs on a data folder.
 *
 * As root we run it as another user, who may be unable to reach the folder by its path: root's home is closed to
 * others. On Linux the child is then given the open folder, and finds it through its own list of open files; so no
 * permission of the folders above has to be changed.
 */
export async function startProgram(program: Program): Promise<ChildProcess> {
  const { command, args, dataDir, user, output, detached = false } = program;
  const stdio: StdioOptions = ['ignore', output, output];
  let folder: FileHandle | undefined;
  if (user !== undefined && process.platform === 'linux' && !(await isOpenToOthers(dataDir, 'ancestors'))) {
    folder = await open(dataDir, 'r');
    stdio[FOLDER_FD] = folder.fd;
  }
  try {
    return spawn(command, ['-D', folder === undefined ? dataDir : `/proc/self/fd/${FOLDER_FD}`, ...args], {
      // Where we are may be closed to the other user, too.
      cwd: '/',
      stdio,
      detached,
      env: environment(),
      ...(user && { uid: user.uid, gid: user.gid }),
    });
  } finally {
    await folder?.close();
  }
}

/** Ours, without what would change how PostgreSQL starts, and with messages that we can read. */
function environment(): NodeJS.ProcessEnv {
  const entries = Object.entries(process.env).filter(([name]) => !/^(?:PG|LC_)/.test(name));
  return { ...Object.fromEntries(entries), LC_ALL: 'C' };
}
