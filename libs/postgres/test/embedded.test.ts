import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { jest } from '@jest/globals';
import { InvalidArgumentError } from '@nestbox/core';
import { EmbeddedPostgresError, Postgres } from '@nestbox/postgres';
import { eventually, freePort, spawnFixture, type Fixture } from '@nestbox/testing';
import { Logger } from '@nestjs/common';
import postgres from 'postgres';

interface Ready {
  type: 'ready';
  started: string;
  port: number;
  version: number;
}

let folder: string;
let dataDir: string;
const fixtures: Fixture[] = [];

/** An unused cluster to copy, since making one takes a while. */
let template: string;

beforeAll(async () => {
  jest.spyOn(Logger.prototype, 'log').mockImplementation(() => undefined);
  template = join(await mkdtemp(join(tmpdir(), 'nestbox-embedded-template-')), 'data');
  const db = new Postgres({ embedded: { dataDir: template } });
  await db.init();
  await db.close();
  // Everyone would try the same port.
  await rm(join(template, 'nestbox', 'port'));
});

afterAll(async () => {
  jest.restoreAllMocks();
  await rm(dirname(template), { recursive: true, force: true });
});

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'nestbox-embedded-test-'));
  dataDir = join(folder, 'deeper', 'data');
});

afterEach(async () => {
  for (const fixture of fixtures.splice(0)) await fixture.kill();
  const pid = await postmaster();
  if (pid !== undefined) process.kill(pid, 'SIGKILL');
  await eventually(() => pid === undefined || !runs(pid));
  await rm(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
});

/** Fills the data folder with an unused cluster. */
async function copyTemplate(): Promise<void> {
  await mkdir(dirname(dataDir), { recursive: true });
  await promisify(execFile)('cp', ['-a', template, dataDir]);
}

async function use(): Promise<{ fixture: Fixture; ready: Ready }> {
  const fixture = await spawnFixture(new URL('./fixtures/embedded.mjs', import.meta.url), {
    args: [dataDir],
  });
  fixtures.push(fixture);
  return { fixture, ready: await fixture.waitFor<Ready>(({ type }) => type === 'ready', 30_000) };
}

async function query(fixture: Fixture, sql: string): Promise<unknown> {
  fixture.send({ do: 'query', sql });
  const { rows } = await fixture.waitFor<{ type: string; rows: unknown }>(({ type }) => type === 'rows');
  return rows;
}

async function postmaster(): Promise<number | undefined> {
  const text = await readFile(join(dataDir, 'postmaster.pid'), 'utf8').catch(() => undefined);
  return text === undefined ? undefined : Number.parseInt(text, 10);
}

/** Whether a process runs. One whose parent has died may stay as a zombie where nobody collects it. */
function runs(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return process.platform !== 'linux' || !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

describe('the embedded server', () => {
  it('keeps its data and its port between starts, and stops when it is closed', async () => {
    const first = await use();
    expect(first.ready.version).toBeGreaterThanOrEqual(180_000);
    await query(first.fixture, 'create table t as select 7 as x');
    const pid = await postmaster();
    first.fixture.send({ do: 'close' });
    expect(await first.fixture.exited).toEqual({ code: 0, signal: null });
    expect(runs(pid!)).toBe(false);
    expect(existsSync(join(dataDir, 'postmaster.pid'))).toBe(false);

    const second = await use();
    expect(second.ready.port).toBe(first.ready.port);
    expect(await query(second.fixture, 'select x from t')).toEqual([{ x: 7 }]);
  });

  it('forces commits to the disk, and takes only connections of this machine with its password', async () => {
    await copyTemplate();
    const { fixture, ready } = await use();
    expect(
      await query(
        fixture,
        `select current_setting('fsync') as fsync, current_setting('synchronous_commit') as sync, current_setting('listen_addresses') as addresses,
                current_setting('unix_socket_directories') as sockets, current_setting('server_encoding') as encoding`,
      ),
    ).toEqual([{ fsync: 'on', sync: 'on', addresses: '127.0.0.1', sockets: '', encoding: 'UTF8' }]);
    const stranger = postgres(`postgres://postgres:guess@127.0.0.1:${ready.port}/postgres`, { max: 1 });
    await expect(stranger`select 1`).rejects.toMatchObject({ code: '28P01' });
    await stranger.end({ timeout: 1 });
    expect((await stat(join(dataDir, 'nestbox', 'password'))).mode & 0o077).toBe(0);
  });

  it('takes over the server of a process that was killed, loses nothing, and stops it in the end', async () => {
    await copyTemplate();
    const killed = await use();
    await query(killed.fixture, 'create table t (x int)');
    await query(killed.fixture, 'insert into t values (1)');
    await killed.fixture.kill('SIGKILL');
    const orphan = await postmaster();
    expect(runs(orphan!)).toBe(true);

    const heir = await use();
    expect(heir.ready.started).toBe(killed.ready.started);
    expect(await query(heir.fixture, 'select x from t')).toEqual([{ x: 1 }]);
    heir.fixture.send({ do: 'close' });
    await heir.fixture.exited;
    expect(runs(orphan!)).toBe(false);
  });

  it('recovers when process and server were killed both', async () => {
    await copyTemplate();
    const killed = await use();
    await query(killed.fixture, 'create table t (x int)');
    await query(killed.fixture, 'insert into t values (1)');
    const pid = await postmaster();
    process.kill(pid!, 'SIGKILL');
    await killed.fixture.kill('SIGKILL');
    expect(existsSync(join(dataDir, 'postmaster.pid'))).toBe(true);

    const heir = await use();
    expect(heir.ready.started).not.toBe(killed.ready.started);
    expect(await query(heir.fixture, 'select x from t')).toEqual([{ x: 1 }]);
  });

  it('is not misled by a stale file whose process id belongs to somebody else now', async () => {
    await copyTemplate();
    const { fixture } = await use();
    await query(fixture, 'create table t (x int)');
    process.kill((await postmaster())!, 'SIGKILL');
    await fixture.kill('SIGKILL');
    const file = join(dataDir, 'postmaster.pid');
    const lines = (await readFile(file, 'utf8')).split('\n');
    // Our own id: a process that runs and is no server.
    await writeFile(file, [process.pid, ...lines.slice(1)].join('\n'));

    const heir = await use();
    expect(await query(heir.fixture, 'select count(*)::int as n from t')).toEqual([{ n: 0 }]);
  });

  it('is shared by the processes that use it, and stopped by the last of them', async () => {
    await copyTemplate();
    const first = await use();
    const second = await use();
    expect(second.ready).toEqual(first.ready);
    const pid = await postmaster();

    second.fixture.send({ do: 'close' });
    await second.fixture.exited;
    expect(await query(first.fixture, 'select 1 as one')).toEqual([{ one: 1 }]);

    const third = await use();
    first.fixture.send({ do: 'close' });
    await first.fixture.exited;
    expect(await query(third.fixture, 'select 1 as one')).toEqual([{ one: 1 }]);

    third.fixture.send({ do: 'close' });
    await third.fixture.exited;
    expect(runs(pid!)).toBe(false);
  });

  it('is started once by five processes that start at the same time on an empty folder', async () => {
    const users = await Promise.all(Array.from({ length: 5 }, () => use()));
    expect(new Set(users.map(({ ready }) => ready.started)).size).toBe(1);
    for (const { fixture } of users) fixture.send({ do: 'close' });
    for (const { fixture } of users) expect(await fixture.exited).toEqual({ code: 0, signal: null });
    expect(await postmaster()).toBeUndefined();
  });

  it('lets an application drain on SIGTERM: it swallows no signal and ends no process', async () => {
    await copyTemplate();
    const { fixture } = await use();
    const pid = await postmaster();
    const exit = await fixture.kill('SIGTERM');
    expect(fixture.messages.at(-1)).toEqual({ type: 'drained', one: 1 });
    expect(exit).toEqual({ code: 7, signal: null });
    expect(runs(pid!)).toBe(false);
  });

  it('is stopped also when the process exits without closing it', async () => {
    await copyTemplate();
    const { fixture } = await use();
    const pid = await postmaster();
    fixture.send({ do: 'exit' });
    expect(await fixture.exited).toEqual({ code: 3, signal: null });
    await eventually(() => !runs(pid!));
  });

  it('is left to other processes when this one closes it', async () => {
    await copyTemplate();
    const db = new Postgres({ embedded: { dataDir } });
    await db.init();
    const pid = (await postmaster())!;
    const other = await use();
    await db.close();
    expect(runs(pid)).toBe(true);
    other.fixture.send({ do: 'close' });
    await other.fixture.exited;
    expect(runs(pid)).toBe(false);
  });

  it('uses the port it is given, and says so when that is taken', async () => {
    await copyTemplate();
    const port = await freePort();
    const db = new Postgres({ embedded: { dataDir, port } });
    expect(() => db.client).toThrow(EmbeddedPostgresError);
    // The first statement starts it.
    expect(await db.query('show port')).toEqual([{ port: String(port) }]);
    expect(db.client.options.port).toEqual([port]);

    const rival = new Postgres({ embedded: { dataDir: join(folder, 'rival'), port } });
    await expect(rival.init()).rejects.toThrow(`Embedded PostgreSQL: port ${port} is in use.`);
    await rival.close();
    await db.close();
  });

  it('tells its URL to libraries with connections of their own, once it runs', async () => {
    await copyTemplate();
    const db = new Postgres({ embedded: { dataDir } });
    expect(() => db.url).toThrow(EmbeddedPostgresError);
    await db.init();
    const other = postgres(db.url!);
    const [row] = await other`select current_setting('port') as port`;
    expect(row).toEqual((await db.query(`select current_setting('port') as port`))[0]);
    await other.end();
    await db.close();
    expect(new Postgres('postgres://app@somewhere/db').url).toBe('postgres://app@somewhere/db');
    expect(new Postgres({ options: { host: 'somewhere' } }).url).toBeUndefined();
  });

  it('takes options of the pool beside', async () => {
    await copyTemplate();
    const db = new Postgres({
      embedded: { dataDir },
      options: { max: 2, connection: { application_name: 'mine' } },
    });
    expect(await db.query('show application_name')).toEqual([{ application_name: 'mine' }]);
    expect(db.poolFigures).toMatchObject({ max: 2 });
    await db.close();
  });

  it('is refused in production, and for a folder that is none', () => {
    const environment = process.env['NODE_ENV'];
    process.env['NODE_ENV'] = 'production';
    try {
      expect(() => new Postgres({ embedded: { dataDir } })).toThrow(EmbeddedPostgresError);
    } finally {
      process.env['NODE_ENV'] = environment;
    }
    expect(() => new Postgres({ embedded: { dataDir: '' } })).toThrow(InvalidArgumentError);
    expect(() => new Postgres({ embedded: { dataDir, port: -1 } })).toThrow(InvalidArgumentError);
  });

  it('leaves a folder alone that holds something else, or another version’s data', async () => {
    await mkdir(dataDir, { recursive: true });
    await writeFile(join(dataDir, 'thesis.txt'), 'years of work');
    const db = new Postgres({ embedded: { dataDir } });
    await expect(db.init()).rejects.toThrow('holds thesis.txt');
    expect(await readFile(join(dataDir, 'thesis.txt'), 'utf8')).toBe('years of work');
    await writeFile(join(dataDir, 'PG_VERSION'), '12\n');
    await expect(db.init()).rejects.toThrow('was made by PostgreSQL 12');
    await db.close();
  });

  it('begins again after a start that was killed half way', async () => {
    await mkdir(`${dataDir}.new`, { recursive: true });
    await writeFile(join(`${dataDir}.new`, 'PG_VERSION'), '18\n');
    const db = new Postgres({ embedded: { dataDir } });
    await db.init();
    expect(existsSync(`${dataDir}.new`)).toBe(false);
    await db.close();
  });
});

const isRoot = process.getuid?.() === 0 && process.platform === 'linux';

(isRoot ? describe : describe.skip)('the embedded server as root', () => {
  it('works in a folder that only root may enter, and opens it to nobody', async () => {
    await promisify(execFile)('chmod', ['700', folder]);
    const { fixture } = await use();
    expect(await query(fixture, 'select 1 as one')).toEqual([{ one: 1 }]);
    await fixture.kill('SIGKILL');
    const heir = await use();
    expect(await query(heir.fixture, 'select 1 as one')).toEqual([{ one: 1 }]);
    expect((await stat(folder)).mode & 0o777).toBe(0o700);
    heir.fixture.send({ do: 'close' });
    await heir.fixture.exited;
    expect(await postmaster()).toBeUndefined();
  });
});
