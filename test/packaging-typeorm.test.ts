import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestDatabase, testDatabase } from '@nestbox/testing';
import { InstalledApp, copiesOf } from './support/installed-app.js';
import { packLibs } from './support/packed-libs.js';

/** The packed libraries beside each TypeORM that they are for, in applications of their own. */

const INSTALL_MS = 300_000;

const apps = [
  { nest: '11', typeorm: '0.3', type: 'commonjs', resolution: 'node10' },
  { nest: '12', typeorm: '1', type: 'module', resolution: 'bundler' },
] as const;

const COMPILER = {
  node10: ['--module', 'commonjs', '--moduleResolution', 'node10', '--ignoreDeprecations', '6.0'],
  bundler: ['--module', 'preserve', '--moduleResolution', 'bundler'],
};

let folder: string;
let tarballs: Map<string, string>;

beforeAll(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), 'nestbox-typeorm-')));
  tarballs = await packLibs(folder, ['@nestbox/typeorm', '@nestbox/kv']);
}, INSTALL_MS);

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

describe.each(apps)(
  'in an application of Nest $nest ($type) with TypeORM $typeorm',
  ({ nest, typeorm, type, resolution }) => {
    let app: InstalledApp;
    let database: TestDatabase;

    beforeAll(async () => {
      database = await testDatabase();
      app = await InstalledApp.install({
        path: join(folder, `typeorm-${typeorm}`),
        source: 'typeorm-app.ts',
        type,
        libs: tarballs,
        dependencies: {
          '@nestjs/common': `^${nest}.0.0`,
          '@nestjs/core': `^${nest}.0.0`,
          '@nestjs/typeorm': `^${nest}.0.0`,
          pg: '^8.11.0',
          postgres: '^3.4.9',
          'reflect-metadata': '^0.2.2',
          rxjs: '^7.8.2',
          typeorm: `^${typeorm}.0`,
        },
      });
    }, INSTALL_MS);

    afterAll(async () => {
      await database.drop();
    });

    it('these versions are installed, without Redis', async () => {
      expect(await app.versionOf('typeorm')).toMatch(new RegExp(`^${typeorm.replace('.', '\\.')}\\.`));
      expect(await app.versionOf('@nestjs/typeorm')).toMatch(new RegExp(`^${nest}\\.`));
      expect(app.has('ioredis')).toBe(false);
    });

    it(`the types resolve, as nodenext and as ${resolution}`, async () => {
      await expect(app.compile('--noEmit')).resolves.toBeUndefined();
      await expect(app.compile('--noEmit', ...COMPILER[resolution])).resolves.toBeUndefined();
    });

    it('an entity and a value of the store commit together, and vanish together', async () => {
      await app.compile();
      const { stdout, stderr, loaded } = await app.start({ DATABASE_URL: database.url });

      expect(stderr).toBe('');
      expect(JSON.parse(stdout)).toEqual({
        refused: 'not today',
        rows: [{ name: 'ada', visits: 1 }],
        greeted: ['ada'],
      });
      for (const one of ['typeorm', '@nestjs/common', '@nestbox/postgres']) {
        expect(copiesOf(one, loaded)).toEqual([join(app.path, 'node_modules', one)]);
      }
    });
  },
);
