import { execFile, execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { TestServerError } from '../errors.js';

const run = promisify(execFile);
const NAMES = ['redis-server', 'valkey-server'];
const POLICY = '/usr/sbin/policy-rc.d';

let installing: Promise<void> | undefined;

/**
 * The path of `redis-server` or `valkey-server`. Where there is neither, root on a Debian-like system gets Debian's
 * redis-server, and one line on stderr says so; the system's service is not started.
 *
 * @throws TestServerError that says what to install
 */
export async function findRedis(): Promise<string> {
  const found = redisOnPath();
  if (found !== undefined) return found;
  if (process.getuid?.() === 0 && onPath('apt-get') !== undefined) {
    installing ??= install();
    await installing;
    const installed = redisOnPath();
    if (installed !== undefined) return installed;
  }
  throw new TestServerError(
    "Neither redis-server nor valkey-server is on the PATH. Install one ('apt-get install redis-server', 'brew install redis'), or set TEST_SERVERS=containers or TEST_REDIS_URL.",
  );
}

/** The server's major version, such as 7. */
export function redisMajorVersion(command: string): number {
  const text = execFileSync(command, ['--version'], { encoding: 'utf8' });
  return Number(/v=(\d+)/.exec(text)?.[1] ?? 0);
}

function redisOnPath(): string | undefined {
  for (const name of NAMES) {
    const path = onPath(name);
    if (path !== undefined) return path;
  }
  return undefined;
}

function onPath(name: string): string | undefined {
  return (process.env['PATH'] ?? '')
    .split(delimiter)
    .filter((folder) => folder !== '')
    .map((folder) => join(folder, name))
    .find((path) => existsSync(path));
}

async function install(): Promise<void> {
  process.stderr.write(
    'Installing redis-server by apt-get, since neither redis-server nor valkey-server is here.\n',
  );
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  // Debian starts a service when its package is installed, unless this policy forbids it.
  const ownPolicy = !existsSync(POLICY);
  if (ownPolicy) await writeFile(POLICY, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    await run('apt-get', ['-o', 'DPkg::Lock::Timeout=300', '-qq', 'update'], { env });
    await run(
      'apt-get',
      ['-o', 'DPkg::Lock::Timeout=300', '-qq', 'install', '-y', '--no-install-recommends', 'redis-server'],
      { env },
    );
  } catch (cause) {
    throw new TestServerError("'apt-get install redis-server' failed. Install it yourself and try again.", {
      cause,
    });
  } finally {
    if (ownPolicy) await rm(POLICY, { force: true });
  }
}
