import {
  EventStore,
  EventStoreHealthIndicator,
  EventStoreModule,
  PgEventStoreBackend,
  Projection,
  Reactor,
  type EventStoreModuleOptions,
  type ReactorContext,
  type ReadEvent,
} from '@nestbox/event-store';
import { eventually } from '@nestbox/testing';
import { Injectable } from '@nestjs/common';
import { TerminusModule } from '@nestjs/terminus';
import { Test } from '@nestjs/testing';
import { TcpProxy } from '../../../test/support/tcp-proxy.js';
import { added, confirmed, type CartEvent } from './support/shopping.js';
import { AppDatabase, Apps } from './support/start-app.js';

const apps = new Apps();
let database: AppDatabase;
let schemas = 0;
beforeAll(async () => {
  database = await AppDatabase.create();
});
afterEach(() => apps.close());
afterAll(() => database.drop());

const newSchema = (): string => `life${++schemas}`;

/** Counts events in a document. */
@Projection({ name: 'counts' })
class Counts {
  getDocumentId(): string {
    return 'all';
  }

  evolve(counts: { n: number } | null): { n: number } {
    return { n: (counts?.n ?? 0) + 1 };
  }
}

describe('the start of an application', () => {
  class CountingBackend extends PgEventStoreBackend {
    attempts = 0;

    override init(): Promise<void> {
      this.attempts++;
      return super.init();
    }
  }

  /** An application whose database cannot be reached until the link to it is healed. */
  async function throughLink(startTimeout: EventStoreModuleOptions['startTimeout']) {
    const proxy = await TcpProxy.to(Number(new URL(database.url).port));
    proxy.cut();
    const source = { url: proxy.url(database.url), connectTimeout: 100 };
    const store = new CountingBackend(source, { schema: newSchema() });
    const start = () =>
      apps.start({ imports: [EventStoreModule.forRoot({ store, startTimeout })], providers: [Counts] });
    return { proxy, start, backend: store };
  }

  it('waits for a database that comes up late, and then runs the consumers', async () => {
    const { proxy, start, backend } = await throughLink('20s');
    await using _ = proxy;
    const starting = start();
    await eventually(() => expect(backend.attempts).toBeGreaterThan(1));
    proxy.heal();
    const store = (await starting).get(EventStore);
    await store.appendToStream('cart-1', [added('fig')]);
    await eventually(async () => expect(await store.collection('counts').get('all')).toMatchObject({ n: 1 }));
    await apps.close();
  });

  it('fails after the time that it was given', async () => {
    const { proxy, start } = await throughLink(200);
    await using _ = proxy;
    const starting = start();
    await expect(starting).rejects.toMatchObject({ code: 'POSTGRES_UNAVAILABLE' });
    await apps.close();
  });

  it('does not wait where it is told not to, and catches up when the database is there', async () => {
    const { proxy, start } = await throughLink(false);
    await using _ = proxy;
    const app = await start();
    const store = app.get(EventStore);
    await expect(store.appendToStream('cart-1', [added('fig')])).rejects.toMatchObject({
      code: 'EVENT_STORE_OPERATION_FAILED',
    });
    proxy.heal();
    await eventually(() => store.appendToStream('cart-1', [added('fig')]), { timeoutMs: 10_000 });
    await eventually(
      async () => expect(await store.collection('counts').get('all')).toMatchObject({ n: 1 }),
      { timeoutMs: 10_000 },
    );
    await apps.close();
  });

  it('can be given up before it has come about', async () => {
    const { proxy, start } = await throughLink(false);
    await using _ = proxy;
    const app = await start();
    await app.close();
    await expect(app.close()).resolves.toBeUndefined();
  });
});

describe('the end of an application', () => {
  /** Lets a test decide when a handler goes on. */
  class Gate {
    private resolve!: () => void;
    private readonly opened = new Promise<void>((resolve) => {
      this.resolve = resolve;
    });
    arrived = 0;

    open(): void {
      this.resolve();
    }

    pass(): Promise<void> {
      this.arrived++;
      return this.opened;
    }
  }

  let gate: Gate;
  let handled: string[];
  let signals: AbortSignal[];
  beforeEach(() => {
    gate = new Gate();
    handled = [];
    signals = [];
  });

  @Reactor({ id: 'slow' })
  @Injectable()
  class Slow {
    constructor(private readonly store: EventStore) {}

    async handle({ type, metadata }: ReadEvent, { signal }: ReactorContext): Promise<void> {
      if (metadata.streamName === 'done') return;
      signals.push(signal);
      await gate.pass();
      await this.store.appendToStream('done', [{ type: 'Handled', data: { type } }]);
      handled.push(type);
    }
  }

  const start = (schema: string, drainTimeout: string | number) =>
    apps.start({
      imports: [database.connect(), EventStoreModule.forRoot({ schema, drainTimeout })],
      providers: [Slow],
    });

  it('waits for the handler that runs, begins no other, and the next one goes on behind it', async () => {
    const schema = newSchema();
    const app = await start(schema, '20s');
    await app.get(EventStore).appendToStream<CartEvent>('cart-1', [added('fig'), confirmed()]);
    await eventually(() => expect(gate.arrived).toBe(1));
    const closing = app.close();
    gate.open();
    await closing;
    expect(handled).toEqual(['ItemAdded']);
    expect(signals[0]!.aborted).toBe(false);

    const next = await start(schema, '20s');
    await eventually(() => expect(handled).toEqual(['ItemAdded', 'Confirmed']));
    const { events } = await next.get(EventStore).readStream('done');
    expect(events.map(({ data }) => data)).toEqual([{ type: 'ItemAdded' }, { type: 'Confirmed' }]);
  });

  it('does not wait for ever, and tells the handler by its signal', async () => {
    const app = await start(newSchema(), 50);
    await app.get(EventStore).appendToStream('cart-1', [added('fig')]);
    await eventually(() => expect(gate.arrived).toBe(1));
    await app.close();
    expect(signals[0]!.aborted).toBe(true);
    expect(handled).toEqual([]);
    gate.open();
  });

  it('may come twice, and without a start', async () => {
    const twice = await apps.start({
      imports: [EventStoreModule.forRoot({ store: 'memory' })],
      providers: [Counts],
    });
    await twice.close();
    await expect(twice.close()).resolves.toBeUndefined();

    const never = await Test.createTestingModule({
      imports: [
        database.connect(),
        EventStoreModule.forRoot(),
        EventStoreModule.forRoot({ store: 'memory', name: 'billing' }),
      ],
      providers: [Counts],
    }).compile();
    await never.close();
    await expect(never.close()).resolves.toBeUndefined();
  });

  it('lets another instance go on at once', async () => {
    const schema = newSchema();
    const options = {
      imports: [database.connect(), EventStoreModule.forRoot({ schema }), TerminusModule],
      providers: [Counts],
    };
    const [one, two] = [await apps.start(options), await apps.start(options)];
    await one.get(EventStore).appendToStream('cart-1', [added('fig')]);
    await eventually(async () =>
      expect(await two.get(EventStore).collection('counts').get('all')).toMatchObject({ n: 1 }),
    );
    await one.close();
    const begin = performance.now();
    await two.get(EventStore).appendToStream('cart-1', [added('fig')]);
    await eventually(async () =>
      expect(await two.get(EventStore).collection('counts').get('all')).toMatchObject({ n: 2 }),
    );
    // A lease that was not released would last for 10 s.
    expect(performance.now() - begin).toBeLessThan(5_000);
    await eventually(async () =>
      expect(await two.get(EventStoreHealthIndicator).isHealthy()).toMatchObject({
        eventStore: { status: 'up', processors: [{ id: 'counts', lag: 0 }] },
      }),
    );
  });
});
