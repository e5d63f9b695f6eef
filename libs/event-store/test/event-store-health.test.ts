import {
  EventStore,
  EventStoreHealthIndicator,
  EventStoreModule,
  Projection,
  Reactor,
  getEventStoreToken,
} from '@nestbox/event-store';
import { eventually } from '@nestbox/testing';
import type { Type } from '@nestjs/common';
import { TerminusModule } from '@nestjs/terminus';
import { added, confirmed } from './support/shopping.js';
import { AppDatabase, Apps } from './support/start-app.js';

const apps = new Apps();
let database: AppDatabase;
let schemas = 0;
beforeAll(async () => {
  database = await AppDatabase.create();
});
afterEach(() => apps.close());
afterAll(() => database.drop());

@Projection({ name: 'fine' })
class Fine {
  evolve(): object {
    return { seen: true };
  }
}

@Projection({ name: 'broken', events: ['Confirmed'], retry: { attempts: 1 } })
class Broken {
  handle(): void {
    throw new Error('no can do');
  }
}

@Reactor({ id: 'parking', events: ['Confirmed'], retry: { attempts: 1 } })
class Parking {
  handle(): void {
    throw new Error('not now');
  }
}

describe.each([
  ['memory', () => ({ store: 'memory' as const })],
  ['postgres', () => ({ store: 'postgres' as const })],
])('EventStoreHealthIndicator on %s', (backend, optionsOf) => {
  async function start(providers: Type[], name?: string) {
    const app = await apps.start({
      imports: [
        TerminusModule,
        database.connect(),
        EventStoreModule.forRoot({ ...optionsOf(), schema: `health${++schemas}`, name }),
      ],
      providers,
    });
    return {
      store: app.get<EventStore>(getEventStoreToken(name)),
      health: app.get(EventStoreHealthIndicator),
    };
  }

  it('reports the head of the log and each processor, as JSON', async () => {
    const { store, health } = await start([Fine]);
    const { lastEventGlobalPosition } = await store.appendToStream('cart-1', [added('fig'), confirmed()]);
    await eventually(async () => expect((await store.processors.list())[0]?.lag).toBe(0n));
    const report = await health.isHealthy();
    expect(JSON.parse(JSON.stringify(report))).toEqual({
      eventStore: {
        status: 'up',
        backend,
        latencyMs: expect.any(Number),
        headPosition: String(lastEventGlobalPosition),
        processors: [{ id: 'fine', partition: '*', status: 'active', lag: 0, lagSeconds: 0, parked: 0 }],
        parked: 0,
      },
    });
  });

  it('is degraded while a processor has failed or messages are parked', async () => {
    const { store, health } = await start([Broken, Parking]);
    await store.appendToStream('cart-1', [confirmed()]);
    await eventually(async () => {
      const { events } = await health.isHealthy('events');
      expect(events).toMatchObject({
        status: 'degraded',
        parked: 1,
        processors: expect.arrayContaining([
          expect.objectContaining({ id: 'broken', status: 'failed' }),
          expect.objectContaining({ id: 'parking', status: 'active', parked: 1 }),
        ]),
      });
      expect(events['message']).toContain('Processor "broken" has failed and stands still (');
      expect(events['message']).toContain('processors.resume("broken")');
      expect(events['message']).toContain('Processor "parking" has parked 1 message; see');
    });
  });

  it('is degraded while a processor is far behind, unless it is paused', async () => {
    const { store, health } = await start([Fine]);
    await eventually(async () => expect(await store.processors.list()).toHaveLength(1));
    await store.processors.pause('fine', { partition: '*' });
    await eventually(async () => {
      // It may still be at what was there when it was paused.
      await store.appendToStream('cart-1', [confirmed()]);
      const { events } = await health.isHealthy('events', { maxLag: 1 });
      expect(events).toMatchObject({ status: 'up', processors: [{ status: 'paused' }] });
      const [{ lag, lagSeconds }] = events['processors'] as [{ lag: number; lagSeconds: number }];
      expect(lag).toBeGreaterThan(0);
      expect(lagSeconds).toBeGreaterThan(0);
    });
    const info = (await store.processors.list())[0]!;
    store.processors.list = async () => [{ ...info, status: 'active', lagMs: 61_234 }];
    expect(await health.isHealthy('events')).toMatchObject({
      events: { status: 'degraded', message: 'Processor "fine" is 61.2 s behind.' },
    });
    expect(await health.isHealthy('events', { maxLag: '2m' })).toMatchObject({ events: { status: 'up' } });
    await expect(health.isHealthy('events', { maxLag: 'long' })).rejects.toThrow('Invalid maxLag');
  });

  it('is down within the timeout when there is no answer', async () => {
    const { store, health } = await start([], 'main');
    const ping = store.backend.ping;
    store.backend.ping = () => new Promise(() => undefined);
    expect(await health.isHealthy('events', { name: 'main', timeout: 30 })).toEqual({
      events: {
        status: 'down',
        backend,
        message: `The event store on ${backend} did not answer within 30 ms.`,
      },
    });
    store.backend.ping = async () => {
      throw new Error('connection refused');
    };
    expect(await health.isHealthy('events', { name: 'main' })).toMatchObject({
      events: { status: 'down', message: 'connection refused' },
    });
    store.backend.ping = ping;
  });
});
