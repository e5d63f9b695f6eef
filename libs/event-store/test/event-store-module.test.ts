import {
  EventStore,
  EventStoreModule,
  InjectEventStore,
  MemoryEventStoreBackend,
  PgEventStoreBackend,
  Projection,
  getEventStoreToken,
  multiStreamProjection,
  type EventStoreModuleOptions,
} from '@nestbox/event-store';
import { KeyValueStore, KvModule } from '@nestbox/kv';
import { Postgres } from '@nestbox/postgres';
import { eventually } from '@nestbox/testing';
import { Injectable } from '@nestjs/common';
import { added, confirmed, type CartEvent, type ItemAdded } from './support/shopping.js';
import { AppDatabase, Apps } from './support/start-app.js';

const apps = new Apps();
let database: AppDatabase;
let schemas = 0;
beforeAll(async () => {
  database = await AppDatabase.create();
});
afterEach(() => apps.close());
afterAll(() => database.drop());

const memory = (name?: string) => EventStoreModule.forRoot({ store: 'memory', name });
const newSchema = (): string => `module${++schemas}`;

/** Counts the events of the store without a name, in a document. */
@Projection({ name: 'counts' })
class Counts {
  getDocumentId(): string {
    return 'all';
  }

  evolve(counts: { n: number } | null): { n: number } {
    return { n: (counts?.n ?? 0) + 1 };
  }
}

@Projection({ name: 'counts', store: 'billing', mode: 'inline' })
class BillingCounts extends Counts {}

@Injectable()
class Shop {
  constructor(
    readonly store: EventStore,
    @InjectEventStore('billing') readonly billing: EventStore,
  ) {}
}

describe('EventStoreModule', () => {
  it('gives the store to everybody, by its class and by its name', async () => {
    const app = await apps.start({
      imports: [memory(), memory('billing'), { module: class {}, providers: [Shop], exports: [Shop] }],
    });
    const { store, billing } = app.get(Shop);
    expect(app.get(getEventStoreToken())).toBe(store);
    expect(app.get(getEventStoreToken('billing'))).toBe(billing);
    await store.appendToStream('cart-1', [added('fig')]);
    expect(await billing.streamExists('cart-1')).toBe(false);
    await app.close();
    for (const each of [store, billing]) {
      await expect(each.streamExists('cart-1')).rejects.toMatchObject({ code: 'CLOSED' });
    }
  });

  it('runs the classes of each store on its own events', async () => {
    const app = await apps.start({
      imports: [memory(), memory('billing')],
      providers: [Counts, BillingCounts, Shop],
    });
    const { store, billing } = app.get(Shop);
    await billing.appendToStream('bill-1', [confirmed(), confirmed(), confirmed()]);
    await store.appendToStream('cart-1', [added('fig'), added('pear')]);
    expect(await billing.collection('counts').get('all')).toMatchObject({ n: 3 });
    await eventually(async () => expect(await store.collection('counts').get('all')).toMatchObject({ n: 2 }));
    expect(await billing.processors.list()).toEqual([]);
  });

  it('can be told its options by a factory, with what that injects, or by a class', async () => {
    class Config {
      readonly maxEventBytes = 100;
    }
    class Options {
      createEventStoreOptions(): EventStoreModuleOptions {
        return { store: 'memory', categoryOf: () => 'all' };
      }
    }
    const app = await apps.start({
      imports: [
        EventStoreModule.forRootAsync({
          imports: [{ module: class {}, providers: [Config], exports: [Config] }],
          inject: [Config],
          useFactory: async ({ maxEventBytes }: Config) => ({ store: 'memory' as const, maxEventBytes }),
        }),
        EventStoreModule.forRootAsync({ name: 'billing', useClass: Options }),
      ],
      providers: [Shop],
    });
    const { store, billing } = app.get(Shop);
    await expect(store.appendToStream('cart-1', [added('f'.repeat(100))])).rejects.toThrow(
      'at most 100 are allowed',
    );
    await billing.appendToStream('bill-1', [confirmed()]);
    expect(await billing.listStreams({ category: 'all' })).toMatchObject({
      streams: [{ streamName: 'bill-1' }],
    });
  });

  it('finds the connection of a name, also when a factory gives it', async () => {
    const [one, two] = [newSchema(), newSchema()];
    const app = await apps.start({
      imports: [
        database.connect('main'),
        EventStoreModule.forRoot({ connection: 'main', schema: one }),
        EventStoreModule.forRootAsync({
          name: 'billing',
          useFactory: () => ({ connection: 'main', schema: two }),
        }),
      ],
      providers: [Shop],
    });
    const { store, billing } = app.get(Shop);
    await store.appendToStream('cart-1', [added('fig')]);
    await billing.appendToStream('bill-1', [confirmed()]);
    const schemasOf = [store, billing].map(({ backend }) => (backend as PgEventStoreBackend).schema);
    expect(schemasOf).toEqual([one, two]);
  });

  it('takes a backend of your own', async () => {
    const backend = new MemoryEventStoreBackend();
    const app = await apps.start({ imports: [EventStoreModule.forRoot({ store: backend })] });
    expect(app.get(EventStore).backend).toBe(backend);
  });

  it('runs the projections that it is given, inline and async', async () => {
    const sold = (name: string) =>
      multiStreamProjection<{ sold: number }, ItemAdded>({
        collectionName: name,
        canHandle: ['ItemAdded'],
        getDocumentId: ({ data }) => data.product,
        evolve: (document, { data }) => ({ sold: (document?.sold ?? 0) + data.quantity }),
      });
    const app = await apps.start({
      imports: [
        EventStoreModule.forRoot({
          store: 'memory',
          projections: [sold('at_once'), { type: 'async', projection: sold('later') }],
        }),
      ],
    });
    const store = app.get(EventStore);
    await store.appendToStream<CartEvent>('cart-1', [added('fig', 2), confirmed()]);
    expect(await store.collection('at_once').get('fig')).toMatchObject({ sold: 2 });
    await eventually(async () =>
      expect(await store.collection('later').get('fig')).toMatchObject({ sold: 2 }),
    );
  });

  it('runs no consumer where it is told not to, which another instance does', async () => {
    const schema = newSchema();
    const start = (consumers: EventStoreModuleOptions['consumers']) =>
      apps.start({
        imports: [database.connect(), EventStoreModule.forRoot({ schema, consumers })],
        providers: [Counts],
      });
    const web = await start(false);
    await web.get(EventStore).appendToStream('cart-1', [added('fig')]);
    expect(await web.get(EventStore).processors.list()).toEqual([]);
    expect(await web.get(EventStore).collection('counts').count()).toBe(0);

    await start({ partition: 'emt:default', pollMs: 200 });
    await eventually(async () =>
      expect(await web.get(EventStore).collection('counts').get('all')).toMatchObject({ n: 1 }),
    );
    expect(await web.get(EventStore).processors.list()).toMatchObject([{ partition: 'emt:default' }]);
  });

  it('commits with other modules on the same connection, or vanishes with them', async () => {
    const app = await apps.start({
      imports: [
        database.connect(),
        EventStoreModule.forRoot({ schema: newSchema() }),
        KvModule.forRoot({ store: 'postgres' }),
      ],
      providers: [Counts],
    });
    const [postgres, kv, store] = [app.get(Postgres), app.get(KeyValueStore), app.get(EventStore)];
    const buy = (cart: string, fails: boolean) =>
      postgres.transaction(async () => {
        await kv.set(`stock-${cart}`, 1);
        await store.appendToStream(cart, [added('fig')]);
        if (fails) throw new Error('changed my mind');
      });
    await buy('cart-1', false);
    await expect(buy('cart-2', true)).rejects.toThrow('changed my mind');
    expect([await kv.has('stock-cart-1'), await store.streamExists('cart-1')]).toEqual([true, true]);
    expect([await kv.has('stock-cart-2'), await store.streamExists('cart-2')]).toEqual([false, false]);
    await store.appendToStream('cart-3', [added('fig')]);
    await eventually(async () => expect(await store.collection('counts').get('all')).toMatchObject({ n: 2 }));
  });

  it.each<[object, string]>([
    [{ store: 'mongo' }, "store: must be 'postgres', 'memory', or an EventStoreBackend."],
    [{ store: 'postgres' }, 'connection: there is no PostgresModule.'],
    [{ store: 'postgres', connection: 'main' }, "connection: there is no PostgresModule of the name 'main'"],
    [{ store: 'memory', startTimeout: 'soon' }, 'startTimeout: '],
    [{ store: 'memory', drainTimeout: 0 }, 'drainTimeout: '],
    [{ store: 'memory', projections: [{}] }, 'projections[0].name: '],
  ])('refuses %j', async (options, problem) => {
    const starting = apps.start({ imports: [EventStoreModule.forRoot(options)] });
    await expect(starting).rejects.toThrow(problem);
  });
});
