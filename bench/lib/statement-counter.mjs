import { startPostgres } from '@nestbox/testing';
import { ask } from '../event-store/databases.mjs';

/** As in servers.mjs, and with the extension that counts. */
const SETTINGS = {
  fsync: 'on',
  full_page_writes: 'on',
  shared_buffers: '128MB',
  max_connections: 100,
  shared_preload_libraries: 'pg_stat_statements',
};

/** Runs `fn` with the URL of a server of its own, since the extension must be loaded at its start, and costs a little. */
export async function withCountingServer(fn) {
  const server = await startPostgres({ settings: SETTINGS });
  try {
    await ask(server.url, 'create extension pg_stat_statements');
    return await fn(server.url);
  } finally {
    await server[Symbol.asyncDispose]();
  }
}

/**
 * The statements that a database got so far, `begin` and `commit` included; what a function does inside is its one
 * call. Asked in another database, so that asking does not count.
 */
export async function countStatements(serverUrl, databaseUrl) {
  const database = new URL(databaseUrl).pathname.slice(1);
  const { calls } = await ask(
    serverUrl,
    `select coalesce(sum(s.calls), 0) as calls
       from pg_stat_statements s join pg_database d on d.oid = s.dbid
      where d.datname = '${database}'`,
  );
  return Number(calls);
}
