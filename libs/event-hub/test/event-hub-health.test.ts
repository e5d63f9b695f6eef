import { EventHubHealthIndicator, EventHubModule, EventHubService } from '@nestbox/event-hub';
import { TerminusModule } from '@nestjs/terminus';
import { FakeStore } from './support/fake-channels.js';
import { FakeBackplane } from './support/fake-network.js';
import { startApp } from './support/start-app.js';

describe('EventHubHealthIndicator', () => {
  it('reports figures, limps while the link does, and is down with the store', async () => {
    const store = new FakeStore();
    const backplane = new FakeBackplane();
    const app = await startApp({
      imports: [TerminusModule, EventHubModule.forRoot({ store, backplane, name: 'main' })],
    });
    const health = app.get(EventHubHealthIndicator);
    const check = () => health.isHealthy('hub', { name: 'main' });
    const figures = {
      backend: 'fake',
      topics: 0,
      members: 0,
      handlers: 0,
      backplane: { backend: 'fake', status: 'up', since: backplane.state.since.toISOString() },
    };
    expect(await check()).toEqual({ hub: { status: 'up', latencyMs: 0.25, ...figures } });

    for (const [status, how] of [
      ['degraded', 'late'],
      ['down', 'not at all'],
    ] as const) {
      backplane.state = { status, since: new Date(0), reason: 'LISTEN was lost' };
      expect(await check()).toEqual({
        hub: {
          ...figures,
          status: 'degraded',
          latencyMs: 0.25,
          message: `Messages of other instances come ${how} for now: LISTEN was lost.`,
          backplane: { backend: 'fake', status, since: new Date(0).toISOString() },
        },
      });
    }

    store.failure = new Error('no database');
    expect(await check()).toMatchObject({ hub: { status: 'down', backend: 'fake', message: 'no database' } });
    await app.close();
  });

  it('answers in time when the store hangs', async () => {
    const store = new FakeStore();
    const app = await startApp({
      imports: [TerminusModule, EventHubModule.forRoot({ store, backplane: new FakeBackplane() })],
    });
    store.ping = () => new Promise(() => undefined);
    expect(await app.get(EventHubHealthIndicator).isHealthy('eventHub', { timeout: 30 })).toMatchObject({
      eventHub: { status: 'down', message: 'The event hub on fake did not answer within 30 ms.' },
    });
    expect(app.get(EventHubService).figures.members).toBe(0);
    await app.close();
  });
});
