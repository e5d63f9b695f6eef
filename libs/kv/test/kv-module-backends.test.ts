import { KeyValueStore, KvHealthIndicator, KvModule, getKvToken } from '@nestbox/kv';
import { Postgres, PostgresModule } from '@nestbox/postgres';
import { RedisModule } from '@nestbox/redis';
import { testDatabase, testRedis, type TestDatabase, type TestRedisSpace } from '@nestbox/testing';
import { Test, type TestingModule } from '@nestjs/testing';

describe('KvModule on connections of other modules', () => {
  let database: TestDatabase;
  let redis: TestRedisSpace;
  beforeAll(async () => {
    [database, redis] = await Promise.all([testDatabase(), testRedis()]);
  });
  afterAll(() => database.drop());

  async function start(
    ...imports: Parameters<typeof Test.createTestingModule>[0]['imports'] & object
  ): Promise<TestingModule> {
    const moduleRef = await Test.createTestingModule({ imports }).compile();
    return moduleRef.init();
  }

  it('keeps entries in PostgreSQL, and joins its transactions', async () => {
    const app = await start(
      KvModule.forRoot({ store: 'postgres', tableName: 'app_kv', schema: 'select', enableVersioning: true }),
      PostgresModule.forRoot({ url: database.url }),
    );
    const store = app.get(KeyValueStore);
    await store.set('a', { x: 1 });
    const rolledBack = app.get(Postgres).transaction(async () => {
      await store.set('a', { x: 2 });
      throw new Error('no');
    });
    await expect(rolledBack).rejects.toThrow('no');
    expect(await store.history('a')).toHaveLength(1);
    const [row] = await app.get(Postgres).query('select value->>\'x\' as x from "select".app_kv');
    expect(row).toEqual({ x: '1' });
    expect(await app.get(KvHealthIndicator).isHealthy()).toMatchObject({
      kv: { status: 'up', backend: 'PostgreSQL' },
    });
    await app.close();

    const again = await start(
      PostgresModule.forRoot({ url: database.url }),
      KvModule.forRootAsync({
        useFactory: () => ({ store: 'postgres', tableName: 'app_kv', schema: 'select', migrate: false }),
      }),
    );
    expect(await again.get(KeyValueStore).get('a')).toEqual({ x: 1 });
    await again.close();
  });

  it('keeps entries in Redis', async () => {
    const app = await start(
      RedisModule.forRoot({ url: redis.url }),
      KvModule.forRoot({ store: 'redis', keyPrefix: `${redis.prefix}kv`, namespace: 'mine' }),
    );
    const store = app.get(KeyValueStore);
    await store.set('a', 1);
    expect(await store.getAll()).toEqual({ a: 1 });
    expect(await store.getAdapter().get('mine:a')).toBe(1);
    expect(await app.get(KvHealthIndicator).isHealthy()).toMatchObject({
      kv: { status: 'up', backend: 'Redis' },
    });
    await store.clear();
    await app.close();
  });

  it('finds connections by their names, given in any of the ways', async () => {
    const app = await start(
      PostgresModule.forRoot({ url: database.url, name: 'main' }),
      RedisModule.forRoot({ url: redis.url, name: 'cache' }),
      KvModule.forRoot({ store: 'postgres', connection: 'main', tableName: 'one' }),
      KvModule.forRootAsync({
        name: 'beside',
        connection: 'main',
        useFactory: async () => ({ store: 'postgres', tableName: 'two' }),
      }),
      KvModule.forRootAsync({
        name: 'returned',
        useFactory: async () => ({ store: 'redis', connection: 'cache', keyPrefix: `${redis.prefix}named` }),
      }),
    );
    for (const name of [undefined, 'beside', 'returned']) {
      const store = app.get<KeyValueStore>(getKvToken(name));
      await store.set('a', name ?? null);
      expect(await store.getAll()).toEqual({ a: name ?? null });
      await store.clear();
    }
    await app.close();
  });

  it('leaves the connection open that it was given', async () => {
    const postgres = new Postgres(database.url);
    const app = await start(
      PostgresModule.forRoot({ client: postgres.client }),
      KvModule.forRoot({ store: 'postgres' }),
    );
    await app.get(KeyValueStore).set('a', 1);
    await app.close();
    expect(await postgres.query('select value from kv_store')).toHaveLength(1);
    await postgres.close();
  });
});
