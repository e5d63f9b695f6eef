import { InvalidArgumentError } from '@nestbox/core';
import { type TestDatabase, freePort, testDatabase } from '@nestbox/testing';
import { dataSourceAddress } from '@nestbox/typeorm';
import { TYPEORMS } from './support/data-sources.js';

let database: TestDatabase;

beforeAll(async () => {
  database = await testDatabase();
});
afterAll(() => database.drop());

/** The URL with other hosts. */
function withHosts(hosts: string, query = ''): string {
  const { host } = new URL(database.url);
  return database.url.replace(host, hosts.replace('HERE', host)) + query;
}

describe('dataSourceAddress', () => {
  it('leaves a URL with one host as it is', () => {
    expect(dataSourceAddress(database.url)).toEqual({ url: database.url });
  });

  it.each(TYPEORMS)('lets a data source of %s find the host that takes writes', async (_, { DataSource }) => {
    const dead = `127.0.0.1:${await freePort()}`;
    const address = dataSourceAddress(withHosts(`${dead},HERE`));
    const source = new DataSource({ type: 'postgres', ...address, extra: { ...address.extra, max: 2 } });
    await source.initialize();
    try {
      expect(await source.query('select current_database() as name')).toEqual([{ name: database.name }]);
    } finally {
      await source.destroy();
    }
  });

  it('fails with the reasons of all hosts when none can be reached', async () => {
    const [, { DataSource }] = TYPEORMS[0]!;
    const hosts = `127.0.0.1:${await freePort()},127.0.0.1:${await freePort()}`;
    const source = new DataSource({ type: 'postgres', ...dataSourceAddress(withHosts(hosts)) });
    await expect(source.initialize()).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  it.each([
    ['', /url.*must be a URL such as/],
    ['mysql://localhost/a', /url.*must be a URL such as/],
    ['postgres://u@one,:5432/app', /has a host that is none: ":5432"/],
    ['postgres://u@one,two/app?target_session_attrs=standby', /target_session_attrs=standby is of no use/],
  ])('refuses %j', (url, problem) => {
    expect(() => dataSourceAddress(url)).toThrow(InvalidArgumentError);
    expect(() => dataSourceAddress(url)).toThrow(problem);
  });
});
