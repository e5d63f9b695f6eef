import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { TestServerError } from '../errors.js';

const run = promisify(execFile);
const POLICY = '/usr/sbin/policy-rc.d';
const APT = ['-o', 'DPkg::Lock::Timeout=300', '-qq'];

/** How often, and after which pauses, apt-get is asked again while somebody else is at it. */
const ATTEMPTS = 100;
const PAUSE_MS = 3000;

/** The path of the first of these commands that is on the PATH. */
export function commandOnPath(...names: readonly string[]): string | undefined {
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
  return names
    .flatMap((name) => folders.map((folder) => join(folder, name)))
    .find((path) => existsSync(path));
}

/** Whether this is root on a Debian-like system, as in a bare container. */
export function canInstallPackages(): boolean {
  return process.getuid?.() === 0 && commandOnPath('apt-get') !== undefined;
}

/**
 * Installs a package of Debian's by apt-get; one line on stderr says so. No service is started.
 *
 * @param reason why, as the end of that line
 * @throws TestServerError when that fails
 */
export async function installPackage(name: string, reason: string): Promise<void> {
  process.stderr.write(`Installing ${name} by apt-get, since ${reason}.\n`);
  // Debian starts a service when its package is installed, unless this policy forbids it.
  const ownPolicy = !existsSync(POLICY);
  if (ownPolicy) await writeFile(POLICY, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    await apt('update');
    await apt('install', '-y', '--no-install-recommends', name);
  } catch (cause) {
    throw new TestServerError(`'apt-get install ${name}' failed. Install it yourself and try again.`, {
      cause,
    });
  } finally {
    if (ownPolicy) await rm(POLICY, { force: true });
  }
}

async function apt(...args: string[]): Promise<void> {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C' };
  for (let attempt = 1; ; attempt++) {
    try {
      await run('apt-get', [...APT, ...args], { env });
      return;
    } catch (error) {
      // Not every lock is waited for by apt-get itself.
      if (attempt === ATTEMPTS || !/could not get lock/i.test(String(error))) throw error;
      await sleep(PAUSE_MS);
    }
  }
}
