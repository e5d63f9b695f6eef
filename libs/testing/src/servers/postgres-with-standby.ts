import { randomBytes } from 'node:crypto';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectPostgres } from '../driver.js';
import { TestServerError } from '../errors.js';
import { eventually } from '../eventually.js';
import { freePort } from '../free-port.js';
import { copyDatabaseFolder, own } from './copy-database-folder.js';
import type { TestDatabase } from './database.js';
import { accessibleBinDir } from './postgres-cluster-folder.js';
import { findPostgres } from './postgres-binaries.js';
import { unprivilegedUser } from './system-user.js';
import { type LocalPostgresOptions, localPostgres, startPostgres, TestPostgres } from './test-postgres.js';

/** Which pair of PostgreSQL is started. */
export interface StartPostgresWithStandbyOptions {
  /** The major version, such as 16. Default: the embedded one (18), else the newest that is installed. */
  version?: number;
  /**
   * Whether a commit waits, as long as there is a standby, until that has it too and shows it to readers
   * (`synchronous_commit = remote_apply`). Default: true.
   */
  synchronous?: boolean;
  /** Server settings of both, such as `{ synchronous_commit: 'on' }`, on top of ours. */
  settings?: Record<string, string | number | boolean>;
}

/**
 * A primary and a standby that streams from it, which can change places. Get one by {@link startPostgresWithStandby}.
 */
export class TestPostgresWithStandby implements AsyncDisposable {
  private following: TestPostgres | undefined;
  /** The one that was the primary before, until it is the standby. */
  private former: TestPostgres | undefined;
  private readonly ports: readonly [number, number];

  /** @internal */
  constructor(
    private leading: TestPostgres,
    standbyPort: number,
    private readonly local: Pick<LocalPostgresOptions, 'binDir' | 'user' | 'settings'>,
    private readonly synchronous: boolean,
  ) {
    this.ports = [leading.port, standbyPort];
  }

  /** The server that takes writes: after {@link promote}, the one that was the standby. */
  get primary(): TestPostgres {
    return this.leading;
  }

  /** @throws TestServerError between {@link promote} and {@link rejoin} */
  get standby(): TestPostgres {
    if (this.following === undefined) throw new TestServerError('There is no standby. Call rejoin() first.');
    return this.following;
  }

  /** A URL that lists both servers, in an order that stays the same, with the database `postgres`. */
  get url(): string {
    return this.urlOf('postgres');
  }

  /** Creates an empty database with a random name, which is on both; its URL lists both servers. */
  async createDatabase(): Promise<TestDatabase> {
    const name = `test_${randomBytes(8).toString('hex')}`;
    await onServer(this.leading, `create database "${name}"`);
    return {
      url: this.urlOf(name),
      name,
      drop: () => onServer(this.leading, `drop database if exists "${name}" with (force)`).then(() => {}),
    };
  }

  /**
   * Makes the standby the primary. The one that was the primary should not run any more; nothing here sees to that,
   * since what happens when both run may be what is tested.
   */
  async promote(): Promise<void> {
    const standby = this.standby;
    await onServer(standby, 'select pg_promote(true, 60)');
    this.former = this.leading;
    this.leading = standby;
    this.following = undefined;
  }

  /** Ends the primary as a crash does, and promotes the standby. */
  async failOver(): Promise<void> {
    await this.primary.kill();
    await this.promote();
  }

  /**
   * Makes a standby of the server that was the primary before, on the same port, from a fresh copy of the data. It has
   * caught up when this resolves, and with `synchronous` commits wait for it from now on.
   */
  async rejoin(): Promise<void> {
    if (this.following !== undefined) return;
    await this.former?.[Symbol.asyncDispose]();
    this.former = undefined;
    const port = this.ports[0] === this.leading.port ? this.ports[1] : this.ports[0];
    this.following = await this.startStandby(port);
    await eventually(() => this.isStreaming(), { timeoutMs: 30_000 });
    if (!this.synchronous) return;
    await onServer(this.leading, `alter system set synchronous_standby_names = '*'`);
    await onServer(this.leading, 'select pg_reload_conf()');
    await eventually(async () => {
      const [row] = await onServer(this.leading, `select from pg_stat_replication where sync_state = 'sync'`);
      return row !== undefined;
    });
  }

  /** Stops both and removes their data. */
  async [Symbol.asyncDispose](): Promise<void> {
    const all = [this.leading, this.following, this.former].filter((server) => server !== undefined);
    await Promise.all(all.map((server) => server[Symbol.asyncDispose]()));
  }

  private urlOf(database: string): string {
    const hosts = this.ports.map((port) => `127.0.0.1:${port}`);
    return `postgres://postgres@${hosts.join(',')}/${database}`;
  }

  private async startStandby(port: number): Promise<TestPostgres> {
    const { user } = this.local;
    const folder = await mkdtemp(join(tmpdir(), 'nestbox-postgres-'));
    try {
      await chmod(folder, 0o755);
      await own(folder, user);
      await this.backUp(join(folder, 'data'));
    } catch (error) {
      await rm(folder, { recursive: true, force: true });
      throw error;
    }
    return TestPostgres.launch('127.0.0.1', port, localPostgres({ ...this.local, folder, port }));
  }

  /** Copies the primary's data while it runs, and tells the copy to follow it. */
  private async backUp(data: string): Promise<void> {
    const { user } = this.local;
    const sql = await connectPostgres(this.leading.url);
    try {
      const [from] = await sql<{ path: string }[]>`select current_setting('data_directory') as path`;
      await sql`select pg_backup_start('standby', true)`;
      await copyDatabaseFolder(from!.path, data, user);
      const [label] = await sql<{ text: string }[]>`select labelfile as text from pg_backup_stop(false)`;
      const follow = `primary_conninfo = 'host=127.0.0.1 port=${this.leading.port} user=postgres'\n`;
      const files = {
        backup_label: label!.text,
        'standby.signal': '',
        // In place of the primary's own: a server that is promoted must not wait for a standby that it does not have.
        'postgresql.auto.conf': follow,
      };
      for (const [name, text] of Object.entries(files)) {
        await writeFile(join(data, name), text, { mode: 0o600 });
        await own(join(data, name), user);
      }
    } finally {
      await sql.end({ timeout: 5 });
    }
  }

  private async isStreaming(): Promise<boolean> {
    const [row] = await onServer(
      this.leading,
      `select from pg_stat_replication where state = 'streaming' and replay_lsn >= pg_current_wal_flush_lsn()`,
    );
    return row !== undefined;
  }
}

/**
 * Starts a primary with a streaming standby on free ports of 127.0.0.1, from installed binaries (also with
 * `TEST_SERVERS=containers`), and resolves when the standby has caught up. Both end with this process at the latest.
 *
 * @throws TestServerError when the wanted version is not installed, or does not start
 */
export async function startPostgresWithStandby({
  version,
  synchronous = true,
  settings,
}: StartPostgresWithStandbyOptions = {}): Promise<TestPostgresWithStandby> {
  const user = unprivilegedUser();
  const binDir = await accessibleBinDir(findPostgres({ ...(version !== undefined && { version }) }), user);
  const ours = {
    // What a commit has written can be read on the standby, too.
    synchronous_commit: 'remote_apply',
    // The standby gets what it has not seen, however long a test has hung it.
    wal_keep_size: '1GB',
    wal_retrieve_retry_interval: '100ms',
    ...settings,
  };
  const primary = await startPostgres({ binDir, settings: ours });
  const pair = new TestPostgresWithStandby(
    primary,
    await freePort(),
    { binDir, user, settings: ours },
    synchronous,
  );
  try {
    await pair.rejoin();
  } catch (error) {
    await pair[Symbol.asyncDispose]();
    throw error;
  }
  return pair;
}

async function onServer(server: TestPostgres, statement: string): Promise<readonly object[]> {
  const sql = await connectPostgres(server.url);
  try {
    return await sql.unsafe(statement);
  } finally {
    await sql.end({ timeout: 5 });
  }
}
