import {
  InjectRedis,
  Redis,
  RedisHealthIndicator,
  RedisModule,
  RedisUnavailableError,
  getRedisToken,
} from '@nestbox/redis';
import { eventually, freePort, startRedis, testRedis, type TestRedis } from '@nestbox/testing';
import { Inject, Injectable, Logger, Module } from '@nestjs/common';
import { HealthCheckService, TerminusModule } from '@nestjs/terminus';
import { Test, type TestingModule } from '@nestjs/testing';
import { jest } from '@jest/globals';
import { Redis as IoRedis } from 'ioredis';
import { outcomeOf } from './support/outcome.js';

let url: string;

beforeAll(async () => {
  jest.spyOn(Logger.prototype, 'warn').mockReturnValue();
  jest.spyOn(Logger.prototype, 'log').mockReturnValue();
  jest.spyOn(Logger.prototype, 'error').mockReturnValue();
  ({ url } = await testRedis());
});

async function start(
  ...imports: NonNullable<Parameters<typeof Test.createTestingModule>[0]['imports']>
): Promise<TestingModule> {
  const app = await Test.createTestingModule({ imports }).compile();
  await app.init();
  return app;
}

describe('RedisModule', () => {
  it('connects at the start and closes at the end, and is global', async () => {
    @Injectable()
    class Counter {
      constructor(readonly redis: Redis) {}
    }
    @Module({ providers: [Counter] })
    class FeatureModule {}
    const app = await start(RedisModule.forRoot({ url }), FeatureModule);
    const { redis } = app.get(Counter, { strict: false });
    const { client } = redis;
    expect(client.status).toBe('ready');
    await app.close();
    expect(client.status).toBe('end');
    await app.close();
  });

  it('gives several connections by name, sync and async', async () => {
    @Injectable()
    class OptionsFactory {
      createRedisOptions(): { url: string } {
        return { url: `${url}/2` };
      }
    }
    @Injectable()
    class Uses {
      constructor(
        @InjectRedis() readonly main: Redis,
        @InjectRedis('sessions') readonly sessions: Redis,
        @Inject(getRedisToken('cache')) readonly cache: Redis,
      ) {}
    }
    @Module({ providers: [Uses] })
    class FeatureModule {}
    const app = await start(
      RedisModule.forRoot({ url }),
      RedisModule.forRootAsync({ name: 'sessions', useFactory: () => ({ url: `${url}/1` }) }),
      RedisModule.forRootAsync({ name: 'cache', useClass: OptionsFactory }),
      FeatureModule,
    );
    const { main, sessions, cache } = app.get(Uses, { strict: false });
    const databases = await Promise.all(
      [main, sessions, cache].map(async ({ client }) => / db=(\d)/.exec(await client.client('INFO'))?.[1]),
    );
    expect(databases).toEqual(['0', '1', '2']);
    await app.close();
  });

  it('is not seen by other modules when it is not global', async () => {
    @Injectable()
    class Counter {
      constructor(readonly redis: Redis) {}
    }
    @Module({ providers: [Counter] })
    class FeatureModule {}
    await expect(start(RedisModule.forRoot({ url, isGlobal: false }), FeatureModule)).rejects.toThrow(
      /Redis/,
    );
  });

  it('leaves a client that was passed in open', async () => {
    const client = new IoRedis(url);
    const app = await start(RedisModule.forRootAsync({ useFactory: () => ({ client }) }));
    expect(app.get(Redis).client).toBe(client);
    await app.close();
    expect(await client.ping()).toBe('PONG');
    client.disconnect();
  });

  it('can be closed without having been started', async () => {
    const app = await Test.createTestingModule({ imports: [RedisModule.forRoot({ url })] }).compile();
    await app.close();
    expect(() => app.get(Redis).client).toThrow(/is closed/);
  });

  it('fails the start when Redis cannot be reached in time, unless told to start without', async () => {
    const nowhere = { host: '127.0.0.1', port: await freePort() };
    const failed = await outcomeOf(() => start(RedisModule.forRoot({ ...nowhere, startTimeout: '50ms' })));
    expect(failed.error).toBeInstanceOf(RedisUnavailableError);
    expect(failed.ms).toBeLessThan(3000);
    const app = await start(
      RedisModule.forRoot({ ...nowhere, startTimeout: false, unavailableAfter: '50ms' }),
    );
    await expect(app.get(Redis).client.get('a')).rejects.toThrow(RedisUnavailableError);
    await app.close();
  });

  it('waits for a Redis that comes up meanwhile', async () => {
    const port = await freePort();
    const starting = start(RedisModule.forRoot({ host: '127.0.0.1', port, unavailableAfter: '100ms' }));
    await using server = await startRedis({ port });
    const app = await starting;
    expect(await app.get(Redis).client.ping()).toBe('PONG');
    await app.close();
    expect(server.isRunning).toBe(true);
  });
});

describe('RedisHealthIndicator', () => {
  let server: TestRedis;
  let app: TestingModule;
  let health: RedisHealthIndicator;

  beforeAll(async () => {
    server = await startRedis();
    app = await start(
      RedisModule.forRoot({ url: server.url }),
      RedisModule.forRoot({ url, name: 'other' }),
      TerminusModule.forRoot({ logger: false }),
    );
    health = app.get(RedisHealthIndicator);
  });
  afterAll(async () => {
    await app.close();
    await server[Symbol.asyncDispose]();
  });

  it('reports a round trip, with mode and role', async () => {
    expect(await health.isHealthy()).toEqual({
      redis: { status: 'up', latencyMs: expect.any(Number), mode: 'standalone', role: 'master' },
    });
    expect(await health.isHealthy('cache', { name: 'other' })).toMatchObject({ cache: { status: 'up' } });
    const report = await app.get(HealthCheckService).check([() => health.isHealthy('redis')]);
    expect(report).toMatchObject({ status: 'ok', info: { redis: { status: 'up' } } });
  });

  it('is degraded on a replica', async () => {
    await using replica = await startRedis({ settings: { replicaof: `127.0.0.1 ${server.port}` } });
    const second = await start(RedisModule.forRoot({ url: replica.url }));
    expect(await second.get(RedisHealthIndicator).isHealthy()).toMatchObject({
      redis: { status: 'degraded', role: 'replica', message: expect.stringMatching(/takes no writes/) },
    });
    await second.close();
  });

  it('is down within its timeout when Redis hangs or is gone, and up when it is back', async () => {
    await server.freeze();
    const hung = await outcomeOf(() => health.isHealthy());
    expect(hung.value).toEqual({
      redis: { status: 'down', message: expect.stringMatching(/did not answer within 1000 ms/) },
    });
    expect(hung.ms).toBeLessThan(1500);
    await server.unfreeze();
    await server.kill();
    const gone = await outcomeOf(() => health.isHealthy('redis', { timeout: '2s' }));
    expect(gone.value).toMatchObject({ redis: { status: 'down' } });
    expect(gone.ms).toBeLessThan(2500);
    await server.start();
    await eventually(async () => {
      expect(await health.isHealthy()).toMatchObject({ redis: { status: 'up' } });
    });
  });
});
