import { createHash, randomUUID } from 'node:crypto';
import { mkdir, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { InvalidArgumentError } from '@nestbox/core';
import { Logger } from '@nestjs/common';
import { EmbeddedPostgresError } from '../postgres.errors.js';
import type { EmbeddedOptions } from '../postgres.options.js';
import { findBinaries } from './binaries.js';
import { ownFiles, prepareDataFolder } from './data-folder.js';
import { withFileLock } from './file-lock.js';
import { launch } from './launch.js';
import { readPostmasterFile, servesData, type Postmaster } from './postmaster-file.js';
import { isAlive } from './process-identity.js';
import { ServerUsers } from './server-users.js';
import { stopServer } from './stop-server.js';
import { unprivilegedUser, type SystemUser } from './system-user.js';

/** Starting may replay a long log after a crash, and may copy the binaries. */
const LOCK_TIMEOUT_MS = 120_000;
const SETTLE_TIMEOUT_MS = 60_000;

/**
 * A PostgreSQL server of its own for development, on 127.0.0.1, with its data in a folder. Processes that use the
 * same folder share the server, and the last one to leave stops it; so one that was left behind by a process that
 * was killed is taken over by the next.
 */
export class EmbeddedServer {
  private readonly logger = new Logger('NestboxEmbedded');
  private readonly dataDir: string;
  private readonly users: ServerUsers;
  private running: Postmaster | undefined;
  private url: string | undefined;
  private readonly onExit = (): void => this.stopAtExit();

  /** @throws EmbeddedPostgresError under NODE_ENV=production; InvalidArgumentError */
  constructor(private readonly options: EmbeddedOptions) {
    const { dataDir, port } = options;
    if (process.env['NODE_ENV'] === 'production') {
      throw new EmbeddedPostgresError(
        'it is for development, and refused under NODE_ENV=production. Give a url.',
      );
    }
    if (typeof dataDir !== 'string' || dataDir === '') {
      throw new InvalidArgumentError('options.embedded.dataDir', 'must be the path of a folder.');
    }
    if (port !== undefined && !(Number.isInteger(port) && port > 0 && port < 65_536)) {
      throw new InvalidArgumentError('options.embedded.port', `${port} is not a port.`);
    }
    this.dataDir = resolve(dataDir);
    this.users = new ServerUsers(ownFiles(this.dataDir).users, randomUUID());
  }

  /**
   * Starts the server, or joins the one that runs already.
   *
   * @returns its URL, with the password
   * @throws EmbeddedPostgresError; MissingDriverError
   */
  async start(): Promise<string> {
    if (this.url !== undefined) return this.url;
    await mkdir(dirname(this.dataDir), { recursive: true });
    return this.locked(async () => {
      const user = await unprivilegedUser(this.dataDir);
      const binaries = await findBinaries(user);
      await prepareDataFolder(this.dataDir, binaries, user);
      await this.users.enter();
      try {
        this.running = (await this.findRunning()) ?? (await this.launch(binaries.postgres, user));
      } catch (error) {
        await this.users.leave();
        throw error;
      }
      // A process that ends without `stop` leaves nothing behind, unless it is killed.
      process.once('exit', this.onExit);
      const password = await readFile(ownFiles(this.dataDir).password, 'utf8');
      this.url = `postgres://postgres:${password}@127.0.0.1:${this.running.port}/postgres`;
      return this.url;
    });
  }

  /** Leaves the server, and stops it when nobody else uses it. May be called twice, and without a start. */
  async stop(): Promise<void> {
    if (this.running === undefined) return;
    process.off('exit', this.onExit);
    await this.locked(async () => {
      if ((await this.users.leave()) && this.running !== undefined) {
        const { pid } = (await readPostmasterFile(this.dataDir)) ?? this.running;
        if (await servesData(pid, this.dataDir)) await stopServer(pid);
      }
      this.running = undefined;
      this.url = undefined;
    });
  }

  /** The server that runs on the data, once it is ready. */
  private async findRunning(): Promise<Postmaster | undefined> {
    const deadline = performance.now() + SETTLE_TIMEOUT_MS;
    for (;;) {
      const found = await readPostmasterFile(this.dataDir);
      if (found === undefined) return undefined;
      if (!(await servesData(found.pid, this.dataDir))) {
        // PostgreSQL removes the file of a dead server itself, but believes one whose id another process has got.
        if (isAlive(found.pid)) await rm(join(this.dataDir, 'postmaster.pid'), { force: true });
        return undefined;
      }
      if (found.status === 'ready') {
        this.logger.log(
          `Joined the PostgreSQL that runs on 127.0.0.1:${found.port}, data in ${this.dataDir}`,
        );
        return found;
      }
      if (performance.now() > deadline) {
        throw new EmbeddedPostgresError(
          `process ${found.pid} serves ${this.dataDir} but is ${found.status}.`,
        );
      }
      await sleep(25);
    }
  }

  private async launch(command: string, user: SystemUser | undefined): Promise<Postmaster> {
    const { log, port: portFile } = ownFiles(this.dataDir);
    const lastPort = Number(await readFile(portFile, 'utf8').catch(() => NaN));
    const { port } = this.options;
    const started = await launch({ command, dataDir: this.dataDir, log, port, lastPort, user });
    await writeFile(portFile, String(started.port), { mode: 0o644 });
    this.logger.log(`Started PostgreSQL on 127.0.0.1:${started.port}, data in ${this.dataDir}`);
    return started;
  }

  private stopAtExit(): void {
    if (this.running !== undefined && this.users.leaveSync() && isAlive(this.running.pid)) {
      process.kill(this.running.pid, 'SIGINT');
    }
  }

  /** Whoever starts or stops the server of a folder does so alone. */
  private async locked<T>(fn: () => Promise<T>): Promise<T> {
    const folder = join(await realpath(dirname(this.dataDir)), basename(this.dataDir));
    const hash = createHash('sha256').update(folder).digest('hex').slice(0, 16);
    return withFileLock(join(tmpdir(), `nestbox-embedded-${hash}.lock`), LOCK_TIMEOUT_MS, fn);
  }
}
