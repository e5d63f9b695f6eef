import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connectPostgres } from '../driver.js';
import { TestServerError } from '../errors.js';
import { freePort } from '../free-port.js';
import { ContainerHost } from './container-host.js';
import { containerHostname, postgresImage, useContainers } from './containers.js';
import { createDatabase, type TestDatabase } from './database.js';
import { accessibleBinDir, createClusterFolder } from './postgres-cluster-folder.js';
import { findPostgres } from './postgres-binaries.js';
import { ProcessHost } from './process-host.js';
import type { ServerHost } from './server-host.js';
import { type SystemUser, unprivilegedUser } from './system-user.js';

/** Which PostgreSQL is started, and how. */
export interface StartPostgresOptions {
  /** The major version, such as 16. Default: the embedded one (18), else the newest that is installed. */
  version?: number;
  /** The folder of `initdb` and `postgres`, in place of `version`. */
  binDir?: string;
  /** The port. Default: a free one. */
  port?: number;
  /** Server settings, such as `{ wal_level: 'logical' }`, on top of ours. */
  settings?: Settings;
}

/** @internal */
export interface LocalPostgresOptions {
  binDir: string;
  user: SystemUser | undefined;
  folder: string;
  port: number;
  settings?: Settings | undefined;
}

type Settings = Record<string, string | number | boolean>;

/**
 * Nothing is forced to the disk, since a test's data need not survive a power cut. It does survive a crash of the
 * server process: `synchronous_commit` stays on, so that a commit is in the kernel's hands when it returns.
 */
const SETTINGS: Settings = {
  fsync: 'off',
  full_page_writes: 'off',
  max_connections: 300,
  shared_buffers: '64MB',
  timezone: 'UTC',
  log_timezone: 'UTC',
};
const LOCAL_SETTINGS: Settings = { listen_addresses: '127.0.0.1', unix_socket_directories: '' };

const START_TIMEOUT_MS = 60_000;
const PORT_ATTEMPTS = 5;

/** A PostgreSQL server of its own for a test. Get one by {@link startPostgres}. */
export class TestPostgres implements AsyncDisposable {
  /** Connects as superuser `postgres`, without a password, to the database `postgres`. */
  readonly url: string;

  private constructor(
    hostname: string,
    readonly port: number,
    private readonly host: ServerHost,
    private serverVersion = '',
  ) {
    this.url = `postgres://postgres@${hostname}:${port}/postgres`;
  }

  /** @internal */
  static async launch(hostname: string, port: number, host: ServerHost): Promise<TestPostgres> {
    const server = new TestPostgres(hostname, port, host);
    try {
      await server.start();
    } catch (error) {
      await host.remove();
      throw error;
    }
    return server;
  }

  /** The server's version as it says itself, such as `18.4`. */
  get version(): string {
    return this.serverVersion;
  }

  /** The process id of the postmaster, or undefined when it does not run, or runs in a container. */
  get pid(): number | undefined {
    return this.host.pid;
  }

  /** Creates an empty database with a random name. */
  createDatabase(): Promise<TestDatabase> {
    return createDatabase(this.url);
  }

  /** Starts it again after {@link stop} or {@link kill}, with the same data on the same port. */
  async start(): Promise<void> {
    await this.host.start();
    this.serverVersion = await this.ready();
  }

  /** Disconnects everybody and stops cleanly. The data is kept until this process ends, or the server is disposed. */
  stop(): Promise<void> {
    return this.host.stop();
  }

  /** Ends the server as a crash does. Committed data is kept. */
  kill(): Promise<void> {
    return this.host.kill();
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  /** Lets the server hang (SIGSTOP to all its processes): connections stay open, nothing is answered. */
  freeze(): Promise<void> {
    return this.host.freeze();
  }

  unfreeze(): Promise<void> {
    return this.host.unfreeze();
  }

  /** Stops the server and removes its data. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.host.remove();
  }

  private async ready(): Promise<string> {
    const deadline = performance.now() + START_TIMEOUT_MS;
    for (;;) {
      try {
        const sql = await connectPostgres(this.url, 5);
        try {
          const [row] = await sql<{ version: string }[]>`select current_setting('server_version') as version`;
          return /^\d+(\.\d+)?/.exec(row!.version)![0];
        } finally {
          await sql.end({ timeout: 1 });
        }
      } catch (error) {
        if (error instanceof TestServerError) throw error;
        const failure = await this.host.failure();
        if (failure !== undefined || performance.now() > deadline) {
          throw new TestServerError(
            `PostgreSQL on port ${this.port} did not start: ${failure ?? 'timeout'}`,
            {
              cause: error,
            },
          );
        }
        await sleep(20);
      }
    }
  }
}

/**
 * Starts a PostgreSQL server on a free port of 127.0.0.1, with a fresh data folder, without password, tuned for
 * tests. It ends with this process at the latest, however that ends, and does not keep it alive.
 *
 * Works as root too: the server then runs as the system's user `postgres`, or else `nobody`. With
 * `TEST_SERVERS=containers` it is a container of the image `TEST_POSTGRES_IMAGE` (default: `postgres:18-alpine`).
 *
 * @throws TestServerError when the wanted version is not installed, or does not start
 */
export async function startPostgres(options: StartPostgresOptions = {}): Promise<TestPostgres> {
  if (useContainers() && options.binDir === undefined) return startInContainer(options);
  const user = unprivilegedUser();
  const binaries = findPostgres(options);
  const binDir = await accessibleBinDir(binaries, user);
  for (let attempt = 1; ; attempt++) {
    const port = options.port ?? (await freePort());
    const folder = await createClusterFolder(binDir, user);
    const host = localPostgres({ binDir, user, folder, port, settings: options.settings });
    try {
      return await TestPostgres.launch('127.0.0.1', port, host);
    } catch (error) {
      // Somebody else may have taken the port between our look and the server's start.
      if (options.port !== undefined || attempt === PORT_ATTEMPTS || !isAddressInUse(error)) throw error;
    }
  }
}

/** @internal The server of a folder that has its data in `data`. */
export function localPostgres({ binDir, user, folder, port, settings }: LocalPostgresOptions): ProcessHost {
  return new ProcessHost({
    command: join(binDir, 'postgres'),
    args: [
      '-D',
      join(folder, 'data'),
      '-p',
      String(port),
      ...settingArgs({ ...SETTINGS, ...LOCAL_SETTINGS, ...settings }),
    ],
    folder,
    user,
    stopSignal: 'SIGINT',
  });
}

async function startInContainer(options: StartPostgresOptions): Promise<TestPostgres> {
  const port = options.port ?? (await freePort());
  const host = new ContainerHost({
    image: postgresImage(options.version),
    command: ['postgres', ...settingArgs({ ...SETTINGS, ...options.settings })],
    environment: { POSTGRES_HOST_AUTH_METHOD: 'trust', POSTGRES_INITDB_ARGS: '--no-sync' },
    ports: { container: 5432, host: port },
  });
  return TestPostgres.launch(await containerHostname(), port, host);
}

function settingArgs(settings: Settings): string[] {
  return Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
}

function isAddressInUse(error: unknown): boolean {
  return /address already in use/i.test(String(error));
}
