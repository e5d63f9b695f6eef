import { ChannelModule, ChannelService } from '@nestbox/channels';
import { EventHubModule, EventHubService, OnTopic } from '@nestbox/event-hub';
import {
  EventStore,
  EventStoreModule,
  Projection,
  Reactor,
  type DocumentProjection,
  type Event,
  type ReadEvent,
} from '@nestbox/event-store';
import { KeyValueStore, KvModule } from '@nestbox/kv';
import { Postgres, PostgresModule } from '@nestbox/postgres';
import { eventually, testDatabase, type TestDatabase } from '@nestbox/testing';
import {
  PgWorkflowStateService,
  Workflow,
  WorkflowModule,
  WorkflowService,
  type WorkflowContext,
} from '@nestbox/workflows';
import { Injectable, type INestApplicationContext } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { pgBouncerBinary, startPgBouncer } from './support/pgbouncer.js';

/** Two instances of an application with all modules, behind PgBouncer, as docs/guides/pgbouncer.md says. */

type Counted = Event<'Counted', { by: number }>;

@Projection({ name: 'sums', mode: 'inline', events: ['Counted'] })
class Sums implements DocumentProjection<{ sum: number }, Counted> {
  evolve = (document: { sum: number } | null, { data }: Counted) => ({ sum: (document?.sum ?? 0) + data.by });
}

@Projection({ name: 'later', mode: 'async', events: ['Counted'] })
class Later extends Sums {}

@Injectable()
@Reactor({ id: 'log', events: ['Counted'] })
class Log {
  readonly handled = new Set<string>();

  handle({ metadata }: ReadEvent<Counted>): void {
    this.handled.add(`${metadata.streamName}:${metadata.streamPosition}`);
  }
}

@Injectable()
class Ears {
  readonly heard: unknown[] = [];

  @OnTopic('news')
  hear(data: unknown): void {
    this.heard.push(data);
  }
}

@Workflow({ name: 'confirm' })
class Confirm {
  constructor(private readonly kv: KeyValueStore) {}

  async run(ctx: WorkflowContext, id: string): Promise<string> {
    await ctx.step('ask', () => 'asked');
    await ctx.transaction('write', async () => {
      await this.kv.increment(`confirmed:${id}`);
    });
    return ctx.waitForSignal<string>('answer');
  }
}

if (pgBouncerBinary === undefined)
  console.warn('pgbouncer is not installed (apt-get install pgbouncer): its tests are skipped.');

(pgBouncerBinary === undefined ? describe.skip : describe)('behind PgBouncer in transaction mode', () => {
  let database: TestDatabase;
  let bouncer: Awaited<ReturnType<typeof startPgBouncer>>;
  let apps: INestApplicationContext[];

  const start = async (): Promise<INestApplicationContext> => {
    const app = await Test.createTestingModule({
      imports: [
        PostgresModule.forRoot({ url: bouncer.url, prepare: false, listenUrl: database.url }),
        KvModule.forRoot({ store: 'postgres', enableVersioning: true }),
        ChannelModule.forRoot({ store: 'postgres' }),
        EventHubModule.forRoot({
          store: 'postgres',
          topics: { news: { history: { size: 100, ttl: '1m' } } },
        }),
        EventStoreModule.forRoot(),
        WorkflowModule.forRoot(),
      ],
      providers: [Sums, Later, Log, Ears, Confirm],
    }).compile();
    return app.init();
  };

  beforeAll(async () => {
    database = await testDatabase();
    bouncer = await startPgBouncer(database);
    // Both create the schemas, at the same time.
    apps = await Promise.all([start(), start()]);
  }, 60_000);

  afterAll(async () => {
    await Promise.all(apps.map((app) => app.close()));
    await bouncer.stop();
    await database.drop();
  });

  const both = <T>(token: new (...args: never[]) => T): [T, T] => [apps[0]!.get(token), apps[1]!.get(token)];

  it('the key-value store counts, watches, and lends leases to one at a time', async () => {
    const [a, b] = both(KeyValueStore);
    const watch = b.watch({ key: 'watched' });
    await watch.ready;
    await Promise.all(Array.from({ length: 100 }, (_, i) => (i % 2 === 0 ? a : b).increment('count')));
    expect(await a.get('count')).toBe(100);

    await a.set('watched', { n: 1 });
    for await (const change of watch) {
      expect(change).toMatchObject({ type: 'set', value: { n: 1 } });
      break;
    }
    const lease = await a.lease('job', { ttl: '30s' });
    await expect(b.lease('job', { ttl: '30s' })).rejects.toMatchObject({ code: 'LEASE_HELD' });
    await lease.release();
    await (await b.lease('job', { ttl: '30s' })).release();
    expect(await a.history('watched')).toHaveLength(1);
  });

  it('channels and topics of one instance are reached from the other', async () => {
    const [a] = both(ChannelService);
    const [here, hub] = both(EventHubService);
    const frames: string[] = [];
    const channel = await a.open({
      channelName: 'page',
      transport: { send: (frame) => void frames.push(String(frame.data)), close: () => undefined },
    });
    await here.subscribe('news', channel.id);
    await hub.publish('news', { title: 'one' });
    await expect(
      apps[1]!.get(Postgres).transaction(async () => {
        await hub.publish('news', { title: 'never' });
        throw new Error('rolled back');
      }),
    ).rejects.toThrow('rolled back');
    await apps[1]!.get(Postgres).transaction(() => hub.publish('news', { title: 'two' }));

    await eventually(() => {
      for (const { heard } of both(Ears)) expect(heard).toEqual([{ title: 'one' }, { title: 'two' }]);
      expect(frames.map((text) => (JSON.parse(text) as { data: unknown }).data)).toEqual([
        { title: 'one' },
        { title: 'two' },
      ]);
    });
    expect(await hub.presenceCount('news')).toBe(1);
    channel.close();
  });

  it('the event store appends, projects, reacts, and rebuilds', async () => {
    const [a, b] = both(EventStore);
    await Promise.all(
      Array.from({ length: 60 }, (_, i) =>
        (i % 2 === 0 ? a : b).appendToStream(`s-${i % 3}`, [{ type: 'Counted', data: { by: 1 } }]),
      ),
    );
    expect(await b.collection('sums').get('s-1')).toMatchObject({ sum: 20 });
    await eventually(async () => {
      expect(await b.collection('later').get('s-1')).toMatchObject({ sum: 20 });
      expect(new Set(both(Log).flatMap(({ handled }) => [...handled])).size).toBe(60);
    });
    await b.rebuild('later');
    await a.rebuild('sums');
    expect(await b.collection('later').get('s-2')).toMatchObject({ sum: 20 });
    expect(await b.collection('sums').get('s-2')).toMatchObject({ sum: 20 });
    await a.partitions.create('acme');
    await b.appendToStream('s-1', [{ type: 'Counted', data: { by: 1 } }], { partition: 'acme' });
    expect(await a.collection('sums', { partition: 'acme' }).get('s-1')).toMatchObject({ sum: 1 });
  });

  it('workflows step, write in transactions, and wait for signals', async () => {
    const [a, b] = both(WorkflowService);
    const ids = Array.from({ length: 30 }, (_, i) => `run-${i}`);
    await Promise.all(ids.map((id, i) => (i % 2 === 0 ? a : b).start(Confirm, id, { id })));
    await Promise.all(ids.map((id, i) => (i % 2 === 0 ? b : a).signal(id, 'answer', `yes ${id}`)));
    const results = await Promise.all(ids.map((id) => a.get<string>(id).result({ timeout: '30s' })));
    expect(results).toEqual(ids.map((id) => `yes ${id}`));
    const counts = await apps[0]!.get(KeyValueStore).getMany(ids.map((id) => `confirmed:${id}`));
    expect([...counts.values()]).toEqual(ids.map(() => 1));
  }, 60_000);

  it('locks on runs hold, and are given back', async () => {
    const [a, b] = both(Postgres).map((postgres) => new PgWorkflowStateService(postgres));
    let inside = 0;
    let most = 0;
    const id = await a!.createRun('locked', {});
    const work = async (): Promise<void> => {
      most = Math.max(most, ++inside);
      // Other statements take the connections of PgBouncer in between.
      await Promise.all(Array.from({ length: 5 }, () => a!.getRun(id)));
      inside--;
    };
    await Promise.all(Array.from({ length: 20 }, (_, i) => (i % 2 === 0 ? a! : b!).withRunLock(id, work)));
    expect(most).toBe(1);
    await Promise.all([a!.close(), b!.close()]);
  }, 60_000);
});
