import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { Postgres, textArray } from '@nestbox/postgres';
import { eventually, freePort, testDatabase, type TestDatabase } from '@nestbox/testing';

const binary = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin']
  .map((folder) => join(folder, 'pgbouncer'))
  .find((file) => existsSync(file));
if (binary === undefined)
  console.warn('pgbouncer is not installed (apt-get install pgbouncer): its tests are skipped.');

(binary === undefined ? describe.skip : describe)('behind PgBouncer in transaction mode', () => {
  let database: TestDatabase;
  let folder: string;
  let bouncer: ChildProcess;
  let url: string;
  let db: Postgres;

  beforeAll(async () => {
    database = await testDatabase();
    folder = await mkdtemp(join(tmpdir(), 'nestbox-pgbouncer-'));
    // It does not run as root either, and has to read its folder.
    await chmod(folder, 0o755);
    const port = await freePort();
    const server = new URL(database.url);
    const config = join(folder, 'pgbouncer.ini');
    await writeFile(join(folder, 'users.txt'), '"postgres" ""\n');
    await writeFile(
      config,
      `[databases]
${database.name} = host=${server.hostname} port=${server.port} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
auth_file = ${join(folder, 'users.txt')}
pool_mode = transaction
default_pool_size = 2
`,
    );
    const user = process.getuid?.() === 0 ? ['-u', 'postgres'] : [];
    bouncer = spawn(binary!, [...user, config], { stdio: 'ignore' });
    url = `postgres://postgres@127.0.0.1:${port}/${database.name}`;
  });

  beforeEach(() => {
    db = new Postgres({ url, prepare: false, listenUrl: database.url });
  });

  afterEach(() => db.close());

  afterAll(async () => {
    bouncer.kill('SIGKILL');
    await rm(folder, { recursive: true, force: true });
    await database.drop();
  });

  it('runs statements and transactions of many callers on few server connections', async () => {
    await eventually(() => db.ping());
    await db.query('create table item (id int primary key, name text)');
    await Promise.all(
      Array.from({ length: 50 }, (_, i) =>
        i % 2 === 0
          ? db.query('insert into item values ($1, $2)', [i, `single ${i}`])
          : db.transaction(async () => {
              await db.query('insert into item values ($1, $2)', [i, `first ${i}`]);
              await db
                .transaction(async () => {
                  await db.query('insert into item values ($1, $2)', [i, 'again']);
                })
                .catch(() => undefined);
              await db.query('update item set name = $2 where id = $1', [i, `second ${i}`]);
            }),
      ),
    );
    const rows = await db.query<{ name: string }>(
      'select name from item where id = any($1::int[]) order by id',
      [textArray(['1', '2', '3'])],
    );
    expect(rows.map(({ name }) => name)).toEqual(['second 1', 'single 2', 'second 3']);
    expect(await db.query('select count(*)::int as n from item')).toEqual([{ n: 50 }]);
  });

  it('listens through the direct connection', async () => {
    const heard: string[] = [];
    await db.listen('channel', (payload) => heard.push(payload));
    await db.query(`select pg_notify('channel', $1)`, ['hello']);
    await eventually(() => expect(heard).toEqual(['hello']));
  });
});
