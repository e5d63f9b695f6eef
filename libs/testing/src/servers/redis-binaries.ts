import { execFileSync } from 'node:child_process';
import { TestServerError } from '../errors.js';
import { canInstallPackages, commandOnPath, installPackage } from './debian-package.js';

const NAMES = ['redis-server', 'valkey-server'] as const;

let installing: Promise<void> | undefined;

/**
 * The path of `redis-server` or `valkey-server`. Where there is neither, root on a Debian-like system gets Debian's
 * redis-server, and one line on stderr says so; the system's service is not started.
 *
 * @throws TestServerError that says what to install
 */
export async function findRedis(): Promise<string> {
  const found = commandOnPath(...NAMES);
  if (found !== undefined) return found;
  if (canInstallPackages()) {
    installing ??= installPackage('redis-server', 'neither redis-server nor valkey-server is here');
    await installing;
    const installed = commandOnPath(...NAMES);
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
