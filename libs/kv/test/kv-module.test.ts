import {
  FileAdapter,
  InjectKv,
  KeyValueStore,
  KvHealthIndicator,
  KvModule,
  MemoryAdapter,
  getKvToken,
  type KvModuleOptions,
} from '@nestbox/kv';
import { Injectable, Module, type DynamicModule } from '@nestjs/common';
import { TerminusModule } from '@nestjs/terminus';
import { Test, type TestingModule } from '@nestjs/testing';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

@Injectable()
class Sessions {
  constructor(
    @InjectKv('sessions') readonly sessions: KeyValueStore,
    readonly store: KeyValueStore,
  ) {}
}

@Module({ providers: [Sessions], exports: [Sessions] })
class SessionsModule {}

async function start(
  ...imports: (DynamicModule | Promise<DynamicModule> | typeof TerminusModule)[]
): Promise<TestingModule> {
  const moduleRef = await Test.createTestingModule({ imports: [...imports, SessionsModule] })
    .useMocker((token) => {
      throw new Error(`Nobody provides ${String(token)}.`);
    })
    .compile();
  return moduleRef.init();
}

const memory = (name?: string): DynamicModule => KvModule.forRoot({ store: 'memory', name });

describe('KvModule', () => {
  it('gives the store to everybody, by its class and by its name', async () => {
    const app = await start(memory(), memory('sessions'));
    const { store, sessions } = app.get(Sessions);
    expect(store).toBeInstanceOf(KeyValueStore);
    expect(sessions).toBeInstanceOf(KeyValueStore);
    expect(app.get(getKvToken())).toBe(store);
    expect(app.get(getKvToken('sessions'))).toBe(sessions);
    await store.set('a', 1);
    expect(await sessions.has('a')).toBe(false);
    await app.close();
    await expect(store.get('a')).rejects.toMatchObject({ code: 'CLOSED' });
    await expect(sessions.get('a')).rejects.toMatchObject({ code: 'CLOSED' });
  });

  it('passes the options on', async () => {
    const app = await start(
      memory('sessions'),
      KvModule.forRoot({
        store: 'memory',
        namespace: 'mine',
        ttl: '1h',
        enableVersioning: true,
        maxHistory: 2,
      }),
    );
    const store = app.get(KeyValueStore);
    for (const i of [1, 2, 3]) await store.set('a', i);
    expect((await store.entry('a'))?.expiresAt).not.toBeNull();
    expect((await store.history('a')).map(({ value }) => value)).toEqual([3, 2]);
    expect(await store.getAdapter().get('mine:a')).toBe(3);
    await app.close();
  });

  it('can be told its options by a factory or a class', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'nestbox-kv-'));
    class Options {
      createKvOptions(): KvModuleOptions {
        return { store: 'file', filePath: join(folder, 'store.json') };
      }
    }
    const app = await start(
      KvModule.forRootAsync({
        name: 'sessions',
        inject: [KvHealthIndicator],
        imports: [memory()],
        useFactory: async () => ({ store: 'memory' as const }),
      }),
      KvModule.forRootAsync({ useClass: Options }),
    );
    await app.get(KeyValueStore).set('a', 1);
    expect(app.get(KeyValueStore).getAdapter()).toBeInstanceOf(FileAdapter);
    expect(app.get<KeyValueStore>(getKvToken('sessions')).getAdapter()).toBeInstanceOf(MemoryAdapter);
    await app.close();
    const again = await start(memory('sessions'), KvModule.forRootAsync({ useClass: Options }));
    expect(await again.get(KeyValueStore).get('a')).toBe(1);
    await again.close();
    await rm(folder, { recursive: true });
  });

  it('takes an adapter of your own, and closes it unless it is told not to', async () => {
    const adapter = new MemoryAdapter();
    const kept = await start(memory('sessions'), KvModule.forRoot({ store: adapter, closeAdapter: false }));
    await kept.get(KeyValueStore).set('a', 1);
    await kept.close();
    const app = await start(memory('sessions'), KvModule.forRoot({ store: adapter }));
    expect(await app.get(KeyValueStore).get('a')).toBe(1);
    await app.close();
    await expect(adapter.get('a')).rejects.toMatchObject({ code: 'CLOSED' });
  });

  it('fails to start where the backend does, and leaves nothing open', async () => {
    const failing = start(
      memory('sessions'),
      KvModule.forRoot({ store: 'file', filePath: '/dev/null/store.json' }),
    );
    await expect(failing).rejects.toMatchObject({ code: 'KV_OPERATION_FAILED' });
  });

  it('can be closed when it was never started', async () => {
    const app = await Test.createTestingModule({ imports: [memory(), memory('sessions')] }).compile();
    const store = app.get(KeyValueStore);
    await app.close();
    await app.close();
    await expect(store.get('a')).rejects.toMatchObject({ code: 'CLOSED' });
  });

  it.each<[unknown, string]>([
    ['mongo', "must be 'postgres', 'redis', 'memory', 'file', or an adapter"],
    [undefined, 'must be'],
    [{}, 'must be'],
  ])('refuses the store %p', async (store, problem) => {
    await expect(start(memory('sessions'), KvModule.forRoot({ store } as KvModuleOptions))).rejects.toThrow(
      problem,
    );
  });

  it.each([
    ['postgres', 'PostgresModule'],
    ['redis', 'RedisModule'],
  ] as const)('says which module to import when the connection to %s is missing', async (store, module) => {
    await expect(start(memory('sessions'), KvModule.forRoot({ store }))).rejects.toThrow(
      `there is no ${module}. Import ${module}.forRoot({ url: … }) in the application's root module.`,
    );
    await expect(start(memory('sessions'), KvModule.forRoot({ store, connection: 'main' }))).rejects.toThrow(
      `there is no ${module} of the name 'main'. Import ${module}.forRoot({ url: …, name: 'main' })`,
    );
    const async = KvModule.forRootAsync({ useFactory: () => ({ store, connection: 'main' }) });
    await expect(start(memory('sessions'), async)).rejects.toThrow(
      `there is no ${module} of the name 'main'`,
    );
  });
});

describe('KvHealthIndicator', () => {
  it('reports a round trip, of any store', async () => {
    const app = await start(TerminusModule, memory(), memory('sessions'));
    const health = app.get(KvHealthIndicator);
    const up = { status: 'up', backend: 'memory', latencyMs: expect.any(Number) as unknown };
    expect(await health.isHealthy()).toEqual({ kv: up });
    expect(await health.isHealthy('store', { name: 'sessions' })).toEqual({ store: up });
    await app.get<KeyValueStore>(getKvToken('sessions')).close();
    expect(await health.isHealthy('store', { name: 'sessions' })).toEqual({
      store: { status: 'down', backend: 'memory', message: expect.stringContaining('is closed') as unknown },
    });
    await app.close();
  });

  it('is down when the backend does not answer in time', async () => {
    class Hanging extends MemoryAdapter {
      override ping(): Promise<number> {
        return new Promise(() => undefined);
      }
    }
    const app = await start(memory('sessions'), KvModule.forRoot({ store: new Hanging() }));
    expect(await app.get(KvHealthIndicator).isHealthy('kv', { timeout: 30 })).toEqual({
      kv: {
        status: 'down',
        backend: 'memory',
        message: 'The key-value store on memory did not answer within 30 ms.',
      },
    });
    await expect(app.get(KvHealthIndicator).isHealthy('kv', { timeout: 0 })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
    await app.close();
  });
});
