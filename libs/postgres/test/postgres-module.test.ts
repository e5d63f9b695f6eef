import 'reflect-metadata';
import { Inject, Injectable, Module, type INestApplicationContext } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import {
  InjectPostgres,
  Postgres,
  PostgresHealthIndicator,
  PostgresModule,
  PostgresUnavailableError,
  getPostgresToken,
  type PostgresOptions,
} from '@nestbox/postgres';
import {
  eventually,
  freePort,
  startPostgres,
  testDatabase,
  type TestDatabase,
  type TestPostgres,
} from '@nestbox/testing';
import postgres from 'postgres';

let database: TestDatabase;
let other: TestDatabase;

beforeAll(async () => {
  [database, other] = await Promise.all([testDatabase(), testDatabase()]);
});

afterAll(async () => {
  await Promise.all([database.drop(), other.drop()]);
});

async function nameOf(db: Postgres): Promise<unknown> {
  const [row] = await db.query('select current_database() as name');
  return row!['name'];
}

async function startApp(
  ...imports: Parameters<typeof Test.createTestingModule>[0]['imports'] & object
): Promise<INestApplicationContext> {
  const app = await Test.createTestingModule({ imports }).compile();
  return app.init();
}

@Injectable()
class Repository {
  constructor(
    @Inject(Postgres) readonly db: Postgres,
    @InjectPostgres('other') readonly second: Postgres,
  ) {}
}

@Module({ providers: [Repository], exports: [Repository] })
class FeatureModule {}

@Injectable()
class Settings {
  readonly url = database.url;

  createPostgresOptions(): PostgresOptions {
    return { url: this.url };
  }
}

@Module({ providers: [Settings], exports: [Settings] })
class SettingsModule {}

describe('PostgresModule', () => {
  it('gives several databases to modules that do not import it, and closes them with the application', async () => {
    const app = await startApp(
      PostgresModule.forRoot({ url: database.url }),
      PostgresModule.forRootAsync({
        name: 'other',
        imports: [SettingsModule],
        inject: [Settings],
        useFactory: async (settings: Settings) => ({ url: settings.url.replace(database.name, other.name) }),
      }),
      FeatureModule,
    );
    const { db, second } = app.get(Repository, { strict: false });
    // It has connected when the application has started.
    expect(db.poolFigures).toMatchObject({ open: 1 });
    expect(await nameOf(db)).toBe(database.name);
    expect(await nameOf(second)).toBe(other.name);
    expect(app.get<Postgres>(getPostgresToken('other'), { strict: false })).toBe(second);
    expect(getPostgresToken()).toBe(Postgres);
    await app.close();
    await expect(db.query('select 1')).rejects.toMatchObject({ code: 'CLOSED' });
    await expect(second.query('select 1')).rejects.toMatchObject({ code: 'CLOSED' });
  });

  it.each([
    ['useClass', { imports: [SettingsModule], useClass: Settings }],
    ['useExisting', { imports: [SettingsModule], useExisting: Settings }],
  ])('takes its options from %s', async (_, options) => {
    const app = await startApp(PostgresModule.forRootAsync(options));
    expect(await nameOf(app.get(Postgres, { strict: false }))).toBe(database.name);
    await app.close();
  });

  it('can be kept to the modules that import it', async () => {
    const local = PostgresModule.forRoot({ url: database.url, isGlobal: false });
    @Module({ imports: [local] })
    class Importing {}
    const starting = startApp(Importing, { module: FeatureModule });
    await expect(starting).rejects.toThrow(/can't resolve dependencies of the Repository/);
  });

  it('leaves a client that was passed in open', async () => {
    const client = postgres(database.url, { max: 1 });
    const app = await startApp(PostgresModule.forRoot({ client }));
    expect(await nameOf(app.get(Postgres, { strict: false }))).toBe(database.name);
    await app.close();
    expect([...(await client`select 1 as one`)]).toEqual([{ one: 1 }]);
    await client.end({ timeout: 1 });
  });

  it('fails the start with one clear error when there is no server, and leaves nothing open', async () => {
    const url = `postgres://app:hush@127.0.0.1:${await freePort()}/shop`;
    const starting = startApp(PostgresModule.forRoot({ url, connectTimeout: '100ms' }));
    await expect(starting).rejects.toThrow(PostgresUnavailableError);
  });

  it('may be closed without having been started', async () => {
    const app = await Test.createTestingModule({
      imports: [PostgresModule.forRoot({ url: database.url })],
    }).compile();
    const db = app.get(Postgres, { strict: false });
    await app.close();
    await expect(db.query('select 1')).rejects.toMatchObject({ code: 'CLOSED' });
  });
});

describe('PostgresHealthIndicator', () => {
  let server: TestPostgres;
  let app: INestApplicationContext;
  let health: PostgresHealthIndicator;

  beforeAll(async () => {
    server = await startPostgres();
    app = await startApp(
      PostgresModule.forRoot({ url: server.url, options: { max: 3 } }),
      PostgresModule.forRoot({ name: 'other', url: other.url }),
    );
    health = app.get(PostgresHealthIndicator, { strict: false });
  });

  afterAll(async () => {
    await app.close();
    await server[Symbol.asyncDispose]();
  });

  it('is up with its figures', async () => {
    expect(await health.isHealthy('database')).toEqual({
      database: {
        status: 'up',
        latencyMs: expect.any(Number),
        pool: { max: 3, open: 1, busy: 0, waiting: 0 },
        listen: { status: 'idle', ageMs: expect.any(Number) },
      },
    });
    expect(await health.isHealthy()).toHaveProperty('postgres.status', 'up');
  });

  it('looks at a named database', async () => {
    expect(await health.isHealthy('second', { name: 'other' })).toHaveProperty('second.pool.max', 10);
  });

  it('is down within its timeout when the server hangs, and up again when it goes on', async () => {
    await server.freeze();
    const start = performance.now();
    expect(await health.isHealthy('database')).toEqual({
      database: { status: 'down', message: 'PostgreSQL did not answer within 1000 ms.' },
    });
    expect(performance.now() - start).toBeLessThan(1400);
    expect(await health.isHealthy('database', { timeout: '50ms' })).toHaveProperty('database.status', 'down');
    await server.unfreeze();
    await eventually(async () => {
      expect(await health.isHealthy('database')).toHaveProperty('database.status', 'up');
    });
  });

  it('is down with the reason when the server is gone, and up when it is back', async () => {
    await server.stop();
    await eventually(async () => {
      expect(await health.isHealthy('database')).toEqual({
        database: { status: 'down', message: expect.stringContaining('ECONNREFUSED') },
      });
    });
    await server.start();
    await eventually(async () => {
      expect(await health.isHealthy('database')).toHaveProperty('database.status', 'up');
    });
  });

  it('is degraded while only LISTEN is down', async () => {
    const listening = await startApp(
      PostgresModule.forRoot({ name: 'listening', url: database.url, listenUrl: server.url }),
    );
    await listening
      .get<Postgres>(getPostgresToken('listening'), { strict: false })
      .listen('channel', () => undefined);
    const check = (): Promise<unknown> =>
      listening.get(PostgresHealthIndicator, { strict: false }).isHealthy('database', { name: 'listening' });
    expect(await check()).toMatchObject({ database: { status: 'up', listen: { status: 'connected' } } });
    await server.stop();
    await eventually(async () => {
      expect(await check()).toMatchObject({
        database: {
          status: 'degraded',
          message: expect.stringContaining('LISTEN is down'),
          latencyMs: expect.any(Number),
          listen: { status: 'reconnecting', reason: expect.any(String) },
        },
      });
    });
    await server.start();
    await eventually(async () => {
      expect(await check()).toMatchObject({ database: { status: 'up', listen: { status: 'connected' } } });
    });
    await listening.close();
  });
});
