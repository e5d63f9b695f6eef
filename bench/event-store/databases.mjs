import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import postgres from 'postgres';

/** Runs `fn` with the URL of a database of its own, on the server of the URL that is given. */
export async function withDatabase(serverUrl, fn) {
  const name = `bench_${randomBytes(6).toString('hex')}`;
  const admin = postgres(serverUrl, { max: 1, onnotice() {} });
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  await admin.unsafe(`create database ${name}`);
  try {
    return await fn(url.href);
  } finally {
    await untilLeft(admin, name);
    await admin.unsafe(`drop database ${name} with (force)`);
    await admin.end();
  }
}

/** The pool of pg says that it has ended before the server knows, and takes being thrown out for an error. */
async function untilLeft(admin, name) {
  for (let i = 0; i < 100; i++) {
    const [{ count }] = await admin`select count(*)::int from pg_stat_activity where datname = ${name}`;
    if (count === 0) return;
    await sleep(50);
  }
}

/** The first row of a statement. */
export async function ask(url, text) {
  const sql = postgres(url, { max: 1, onnotice() {} });
  try {
    const [row] = await sql.unsafe(text);
    return row;
  } finally {
    await sql.end();
  }
}
