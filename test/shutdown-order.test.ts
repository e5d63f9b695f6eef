import 'reflect-metadata';
import { ChannelModule, ChannelService } from '@nestbox/channels';
import { ClosedError } from '@nestbox/core';
import { EventHubModule, EventHubService } from '@nestbox/event-hub';
import { EventStore, EventStoreModule } from '@nestbox/event-store';
import { InjectKv, KeyValueStore, KvModule } from '@nestbox/kv';
import { Postgres, PostgresModule } from '@nestbox/postgres';
import { Redis, RedisModule } from '@nestbox/redis';
import { testDatabase, type TestDatabase, testRedis } from '@nestbox/testing';
import { WorkflowModule, WorkflowService } from '@nestbox/workflows';
import {
  type DynamicModule,
  Injectable,
  type LoggerService,
  Module,
  type OnApplicationShutdown,
} from '@nestjs/common';
import { NestFactory } from '@nestjs/core';

let database: TestDatabase;
let redis: Awaited<ReturnType<typeof testRedis>>;

beforeAll(async () => {
  [database, redis] = await Promise.all([testDatabase(), testRedis()]);
});

afterAll(async () => {
  await database.drop();
});

/** Brings the connections with it, so that Nest tells their modules first that the application has shut down. */
@Module({})
class InnerModule {
  static forRoot(...imports: DynamicModule[]): DynamicModule {
    return { module: InnerModule, imports };
  }
}

/** Says goodbye in its own hook, as applications do. */
@Injectable()
class Goodbye implements OnApplicationShutdown {
  constructor(@InjectKv() private readonly kv: KeyValueStore) {}

  async onApplicationShutdown(): Promise<void> {
    await this.kv.set('goodbye', true);
  }
}

class Complaints implements LoggerService {
  readonly all: unknown[] = [];

  log(): void {}
  warn(message: unknown): void {
    this.all.push(message);
  }
  error(message: unknown): void {
    this.all.push(message);
  }
}

describe.each(['postgres', 'redis'] as const)(
  'An application whose connections are imported last (%s)',
  (store) => {
    it('closes them when everybody has said goodbye', async () => {
      const prefix = `order-${store}`;
      const channels = store === 'redis' ? { store, keyPrefix: prefix } : { store };
      const kv = store === 'redis' ? { store, keyPrefix: prefix } : { store };
      const complaints = new Complaints();
      const app = await NestFactory.createApplicationContext(
        {
          module: InnerModule,
          providers: [Goodbye],
          imports: [
            EventHubModule.forRoot(channels),
            ChannelModule.forRoot(channels),
            KvModule.forRoot(kv),
            WorkflowModule.forRoot(),
            EventStoreModule.forRoot(),
            InnerModule.forRoot(
              PostgresModule.forRoot({ url: database.url }),
              RedisModule.forRoot({ url: redis.url }),
            ),
          ],
        },
        { logger: complaints, abortOnError: false },
      );
      const [postgres, server] = [app.get(Postgres), app.get(Redis)];
      await app.get(EventHubService).publish('topic', 1);
      await app
        .get(ChannelService)
        .send('nobody', { data: 1 })
        .catch(() => undefined);
      await app.get(EventStore).appendToStream('stream', [{ type: 'Happened', data: {} }]);
      expect(await app.get(WorkflowService).list()).toMatchObject({ runs: [] });

      await app.close();
      expect(complaints.all).toEqual([]);
      await expect(postgres.query('select 1')).rejects.toThrow(ClosedError);
      expect(() => server.client).toThrow(ClosedError);

      // Nobody waits for a lease to run out.
      const admin = new Postgres({ url: database.url });
      expect(await admin.query('select name from nestbox.leases where owner is not null')).toEqual([]);
      expect(await admin.query('select * from serverless.lambda_channel_nodes')).toEqual([]);
      await admin.close();
      const other = new Redis(redis.url);
      const nodes = await other.client.keys(`${prefix}*node*`);
      expect(nodes).toEqual([]);
      await other.close();
    });
  },
);
