import { jest } from '@jest/globals';
import { eventually, startPostgresWithStandby } from '@nestbox/testing';
import postgres from 'postgres';

/** Servers are started, killed and copied, on a machine that may be busy. */
jest.setTimeout(60_000);

/** Runs a statement on one of the servers. */
async function on(url: string, statement: string): Promise<readonly object[]> {
  const sql = postgres(url, { max: 1, onnotice: () => undefined });
  try {
    return await sql.unsafe(statement);
  } finally {
    await sql.end();
  }
}

describe('startPostgresWithStandby', () => {
  it('keeps what was committed when the primary is killed, and again after they have changed places', async () => {
    await using servers = await startPostgresWithStandby();
    const database = await servers.createDatabase();
    const here = (url: string): string => url.replace(/postgres$/, database.name);
    const [first, second] = [servers.primary.port, servers.standby.port];
    expect(database.url).toBe(`postgres://postgres@127.0.0.1:${first},127.0.0.1:${second}/${database.name}`);
    await on(
      here(servers.primary.url),
      'create table item (id int primary key); insert into item values (1)',
    );
    await servers.failOver();
    expect(servers.primary.port).toBe(second);
    expect(() => servers.standby).toThrow('There is no standby.');
    expect(await on(here(servers.primary.url), 'insert into item values (2) returning id')).toEqual([
      { id: 2 },
    ]);
    await servers.rejoin();
    expect(servers.standby.port).toBe(first);
    await on(here(servers.primary.url), 'insert into item values (3)');
    await expect(on(here(servers.standby.url), 'insert into item values (4)')).rejects.toMatchObject({
      code: '25006',
    });
    await servers.failOver();
    expect(servers.primary.port).toBe(first);
    expect(await on(here(servers.primary.url), 'select id from item order by id')).toEqual([
      { id: 1 },
      { id: 2 },
      { id: 3 },
    ]);
    await database.drop();
  });

  it('lets no commit return that the standby does not have', async () => {
    await using servers = await startPostgresWithStandby();
    await on(servers.primary.url, 'create table item (id int)');
    await servers.standby.freeze();
    let committed = false;
    const commit = on(servers.primary.url, 'insert into item values (1)').then(() => (committed = true));
    const waits = `select from pg_stat_activity where wait_event = 'SyncRep'`;
    await eventually(async () => expect(await on(servers.primary.url, waits)).toHaveLength(1));
    expect(committed).toBe(false);
    await servers.standby.unfreeze();
    await commit;
  });
});
