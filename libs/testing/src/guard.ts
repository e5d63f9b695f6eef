import { spawn, type ChildProcess } from 'node:child_process';

/**
 * Reads lines of process ids; each line takes the place of the one before. When its input ends, which it does however
 * the process that started it ended, it kills them and removes the folder. Killing works on stopped processes too.
 * Processes that are just ending may still write into the folder, hence the second tries.
 */
const SCRIPT = `
pids=
while read -r line; do pids=$line; done
[ -n "$pids" ] && kill -KILL $pids 2>/dev/null
[ -z "$1" ] && exit 0
for pause in 0.1 0.3 1 2; do rm -rf "$1" 2>/dev/null && exit 0; sleep $pause; done
rm -rf "$1"
`;

/**
 * Sees to it that nothing is left of this process when it ends, be it by SIGKILL: the processes it watches are killed
 * and their folder is removed. It is a tiny shell in a process group of its own, so that Ctrl-C does not reach it.
 * On Windows, which lacks such a shell, it does nothing.
 */
export class Guard {
  private readonly shell: ChildProcess | undefined;

  /** @param folder the folder to remove in the end; it must be one that was made for this purpose */
  constructor(folder = '') {
    if (process.platform === 'win32') return;
    this.shell = spawn('/bin/sh', ['-c', SCRIPT, 'nestbox-test-guard', folder], {
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    // Without a guard the tests still run; they only leave something behind when they are killed.
    this.shell.on('error', () => {});
    this.shell.stdin?.on('error', () => {});
    this.shell.unref();
    const stdin = this.shell.stdin as { unref?(): void } | null;
    stdin?.unref?.();
  }

  /** The processes to kill when this process ends. */
  watch(pids: readonly number[]): void {
    this.shell?.stdin?.write(`${pids.join(' ')}\n`);
  }

  /** Removes the folder now, and kills what is still watched. */
  end(): void {
    this.shell?.stdin?.end();
  }
}
