import type { ChildProcess } from 'node:child_process';
import { chown, open, readFile, stat, truncate } from 'node:fs/promises';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { EmbeddedPostgresError } from '../postgres.errors.js';
import { readPostmasterFile, type Postmaster } from './postmaster-file.js';
import { startProgram } from './run-program.js';
import type { SystemUser } from './system-user.js';

export interface LaunchOptions {
  /** The path of `postgres`. */
  command: string;
  dataDir: string;
  /** The file that gets the server's log. */
  log: string;
  /** Default: the last one where it is free, else any free one. */
  port: number | undefined;
  /** NaN for none. */
  lastPort: number;
  user: SystemUser | undefined;
}

const READY_TIMEOUT_MS = 60_000;
/** The children of a server that was killed end within moments of it. */
const ORPHANS_TIMEOUT_MS = 10_000;
const LOG_LIMIT_BYTES = 10 * 1024 * 1024;
const PORT_ATTEMPTS = 5;

/**
 * Starts the server and waits until it takes connections.
 *
 * @throws EmbeddedPostgresError with the end of the log
 */
export async function launch(options: LaunchOptions): Promise<Postmaster> {
  const orphansDeadline = performance.now() + ORPHANS_TIMEOUT_MS;
  for (let attempt = 1; ; attempt++) {
    const port = options.port ?? (await freePort(options.lastPort)) ?? (await freePort(0));
    if (port === undefined) throw new EmbeddedPostgresError('127.0.0.1 has no free port.');
    const failure = await tryToLaunch(options, port);
    if (typeof failure !== 'string') return failure;
    const portWasTaken = /could not bind|address already in use/i.test(failure);
    if (portWasTaken && options.port === undefined && attempt < PORT_ATTEMPTS) continue;
    const orphansRemain = /is still in use|lock file .* already exists/i.test(failure);
    if (orphansRemain && performance.now() < orphansDeadline) {
      await sleep(200);
      continue;
    }
    const problem = portWasTaken ? `port ${port} is in use.` : 'the server did not start.';
    throw new EmbeddedPostgresError(`${problem} The end of ${options.log}:\n${failure}`);
  }
}

/** @returns what it wrote to its log, when it ended at once */
async function tryToLaunch(
  { command, dataDir, log, user }: LaunchOptions,
  port: number,
): Promise<Postmaster | string> {
  await shorten(log);
  const file = await open(log, 'a', 0o600);
  const { size: before } = await file.stat();
  let child: ChildProcess;
  try {
    if (user !== undefined) await chown(log, user.uid, user.gid);
    child = await startProgram({
      command,
      args: ['-p', String(port), '-c', 'listen_addresses=127.0.0.1', '-c', 'unix_socket_directories='],
      dataDir,
      user,
      output: file.fd,
      detached: true,
    });
  } finally {
    await file.close();
  }
  child.unref();
  const ended = new Promise<'ended'>((resolve) => {
    child.once('error', () => resolve('ended'));
    child.once('exit', () => resolve('ended'));
  });
  const deadline = performance.now() + READY_TIMEOUT_MS;
  while (performance.now() < deadline) {
    if ((await Promise.race([ended, sleep(10)])) === 'ended') return endOfLog(log, before);
    const found = await readPostmasterFile(dataDir);
    if (found?.pid === child.pid && found?.status === 'ready') return found;
  }
  child.kill('SIGQUIT');
  await ended;
  return endOfLog(log, before);
}

async function shorten(log: string): Promise<void> {
  const size = await stat(log).then(
    (entry) => entry.size,
    () => 0,
  );
  if (size > LOG_LIMIT_BYTES) await truncate(log);
}

async function endOfLog(log: string, from: number): Promise<string> {
  const content = await readFile(log);
  return content.subarray(from).toString().trim().split('\n').slice(-15).join('\n');
}

/** That port, or any for 0; undefined when it cannot be listened to. */
async function freePort(wanted: number): Promise<number | undefined> {
  if (!Number.isInteger(wanted)) return undefined;
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(undefined));
    server.listen({ host: '127.0.0.1', port: wanted, exclusive: true }, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' ? address?.port : undefined));
    });
  });
}
