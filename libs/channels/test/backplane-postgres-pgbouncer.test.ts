import { PgBackplane } from '@nestbox/channels';
import { Postgres } from '@nestbox/postgres';
import { eventually, freePort, testDatabase, type TestDatabase } from '@nestbox/testing';
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';

const binary = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin']
  .map((folder) => join(folder, 'pgbouncer'))
  .find((file) => existsSync(file));
if (binary === undefined)
  console.warn('pgbouncer is not installed (apt-get install pgbouncer): its tests are skipped.');

(binary === undefined ? describe.skip : describe)('PgBackplane behind PgBouncer in transaction mode', () => {
  let database: TestDatabase;
  let folder: string;
  let bouncer: ChildProcess;
  let postgres: Postgres;

  beforeAll(async () => {
    database = await testDatabase();
    folder = await mkdtemp(join(tmpdir(), 'nestbox-pgbouncer-'));
    await chmod(folder, 0o755);
    const port = await freePort();
    const { hostname, port: serverPort } = new URL(database.url);
    await writeFile(join(folder, 'users.txt'), '"postgres" ""\n');
    await writeFile(
      join(folder, 'pgbouncer.ini'),
      [
        '[databases]',
        `${database.name} = host=${hostname} port=${serverPort} user=postgres`,
        '[pgbouncer]',
        'listen_addr = 127.0.0.1',
        `listen_port = ${port}`,
        'unix_socket_dir =',
        'auth_type = any',
        `auth_file = ${join(folder, 'users.txt')}`,
        'pool_mode = transaction',
        'default_pool_size = 3',
      ].join('\n'),
    );
    const user = process.getuid?.() === 0 ? ['-u', 'postgres'] : [];
    bouncer = spawn(binary!, [...user, join(folder, 'pgbouncer.ini')], { stdio: 'ignore' });
    const url = `postgres://postgres@127.0.0.1:${port}/${database.name}`;
    postgres = new Postgres({ url, prepare: false, listenUrl: database.url });
    await eventually(() => postgres.ping());
  });

  afterAll(async () => {
    await postgres.close();
    bouncer.kill('SIGKILL');
    await rm(folder, { recursive: true, force: true });
    await database.drop();
  });

  it('carries and keeps messages, also of transactions', async () => {
    const [a, b] = [new PgBackplane(postgres), new PgBackplane(postgres)];
    const heard: string[] = [];
    const ignore = { onGap: () => undefined, onRecovered: () => undefined };
    await a.open('a', { ...ignore, onMessage: () => undefined });
    await b.open('b', { ...ignore, onMessage: ({ payload }) => heard.push(payload.toString()) });
    await b.join('t');
    const expected = Array.from({ length: 50 }, (_, n) => String(n));
    const message = (payload: string) => ({
      topic: 't',
      payload: Buffer.from(payload),
      binary: false,
      except: [],
    });
    const keep = { size: 100, ttlMs: 60_000 };
    await Promise.all(expected.map((n) => a.publish(message(n), keep)));
    await postgres.transaction(() => a.publish(message('in a transaction'), keep));
    await eventually(() => expect(heard).toEqual([...expected, 'in a transaction']));
    expect((await b.history('t'))?.messages).toHaveLength(51);
    await eventually(() => expect(b.state.status).toBe('up'));
    await Promise.all([a.close(), b.close()]);
  });
});
