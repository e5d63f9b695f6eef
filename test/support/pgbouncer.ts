import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { freePort, type TestDatabase } from '@nestbox/testing';

/** Undefined where PgBouncer is not installed. */
export const pgBouncerBinary = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin']
  .map((folder) => join(folder, 'pgbouncer'))
  .find((file) => existsSync(file));

/** A PgBouncer in transaction mode before a database, with few connections to it. */
export async function startPgBouncer(
  database: TestDatabase,
  poolSize = 3,
): Promise<{ url: string; stop(): Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'nestbox-pgbouncer-'));
  // It does not run as root either, and has to read its folder.
  await chmod(folder, 0o755);
  const port = await freePort();
  const server = new URL(database.url);
  await writeFile(join(folder, 'users.txt'), '"postgres" ""\n');
  await writeFile(
    join(folder, 'pgbouncer.ini'),
    [
      '[databases]',
      `${database.name} = host=${server.hostname} port=${server.port} user=postgres`,
      '[pgbouncer]',
      'listen_addr = 127.0.0.1',
      `listen_port = ${port}`,
      'unix_socket_dir =',
      'auth_type = any',
      `auth_file = ${join(folder, 'users.txt')}`,
      'pool_mode = transaction',
      `default_pool_size = ${poolSize}`,
    ].join('\n'),
  );
  const user = process.getuid?.() === 0 ? ['-u', 'postgres'] : [];
  const bouncer = spawn(pgBouncerBinary!, [...user, join(folder, 'pgbouncer.ini')], { stdio: 'ignore' });
  return {
    url: `postgres://postgres@127.0.0.1:${port}/${database.name}`,
    stop: async () => {
      bouncer.kill('SIGKILL');
      await rm(folder, { recursive: true, force: true });
    },
  };
}
