import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Guard } from '../guard.js';
import { descendantsOf, signal } from './process-tree.js';
import type { ServerHost } from './server-host.js';
import type { SystemUser } from './system-user.js';

export interface ProcessHostOptions {
  command: string;
  args: readonly string[];
  /** A folder made for this server: its log is written here, and it is removed in the end. */
  folder: string;
  /** Whom to run as; by default, as this process does. */
  user?: SystemUser;
  /** The signal that asks for a clean stop. */
  stopSignal: NodeJS.Signals;
}

/** How long a clean stop may take before the process is killed. */
const STOP_TIMEOUT_MS = 10_000;

/** Runs a server as a child process that cannot outlive this one, and that does not keep this one alive. */
export class ProcessHost implements ServerHost {
  private readonly guard: Guard;
  private readonly logFile: string;
  private child: ChildProcess | undefined;
  private frozen: number[] = [];

  constructor(private readonly options: ProcessHostOptions) {
    this.guard = new Guard(options.folder);
    this.logFile = join(options.folder, 'server.log');
  }

  get pid(): number | undefined {
    return this.running()?.pid;
  }

  get isRunning(): boolean {
    return this.running() !== undefined;
  }

  async start(): Promise<void> {
    if (this.running() !== undefined) return;
    const log = openSync(this.logFile, 'a');
    try {
      const child = spawn(this.options.command, this.options.args, {
        cwd: this.options.folder,
        // A group of its own: Ctrl-C is for us, and we stop the server.
        detached: true,
        stdio: ['ignore', log, log],
        ...(this.options.user && { uid: this.options.user.uid, gid: this.options.user.gid }),
      });
      child.unref();
      await once(child, 'spawn');
      this.child = child;
    } finally {
      closeSync(log);
    }
    this.guard.watch([this.child.pid!]);
  }

  stop(): Promise<void> {
    return this.end(this.options.stopSignal);
  }

  kill(): Promise<void> {
    return this.end('SIGKILL');
  }

  async freeze(): Promise<void> {
    const pid = this.pid;
    if (pid === undefined) return;
    // The parent first, so that it starts no child that escapes.
    signal(pid, 'SIGSTOP');
    const children = descendantsOf(pid);
    this.frozen = [pid, ...children];
    this.guard.watch(this.frozen);
    for (const child of children) signal(child, 'SIGSTOP');
  }

  async unfreeze(): Promise<void> {
    for (const pid of this.frozen.toReversed()) signal(pid, 'SIGCONT');
    this.frozen = [];
    this.guard.watch(this.pid === undefined ? [] : [this.pid]);
  }

  async remove(): Promise<void> {
    await this.end('SIGKILL');
    this.guard.end();
    await rm(this.options.folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  }

  async failure(): Promise<string | undefined> {
    if (this.running() !== undefined) return undefined;
    const log = readFileSync(this.logFile, 'utf8').trim().split('\n').slice(-15).join('\n');
    return `it ended with ${this.child?.exitCode ?? this.child?.signalCode}:\n${log}`;
  }

  private async end(how: NodeJS.Signals): Promise<void> {
    const child = this.running();
    if (child === undefined) return;
    const family = how === 'SIGKILL' ? descendantsOf(child.pid!) : [];
    await this.unfreeze();
    const exited = once(child, 'exit');
    // While we wait, the process must keep us alive.
    child.ref();
    signal(child.pid!, how);
    for (const pid of family) signal(pid, how);
    const timer = setTimeout(() => signal(child.pid!, 'SIGKILL'), STOP_TIMEOUT_MS);
    await exited;
    clearTimeout(timer);
    this.guard.watch([]);
    await Promise.all(family.map(gone));
  }

  private running(): ChildProcess | undefined {
    const child = this.child;
    return child !== undefined && child.exitCode === null && child.signalCode === null ? child : undefined;
  }
}

/** Resolves when a process that is not our own child has ended. */
async function gone(pid: number): Promise<void> {
  for (let waitedMs = 0; waitedMs < STOP_TIMEOUT_MS; waitedMs += 10) {
    try {
      process.kill(pid, 0);
    } catch {
      return;
    }
    await sleep(10);
  }
}
