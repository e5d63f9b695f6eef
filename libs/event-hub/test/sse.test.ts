import { get, type IncomingMessage } from 'node:http';
import { MemoryChannelStore } from '@nestbox/channels';
import { EventHubService, sseStream, type SseStreamOptions } from '@nestbox/event-hub';
import { eventually } from '@nestbox/testing';
import { Controller, Headers, Param, Sse } from '@nestjs/common';
import { positionOf } from '../src/sse/last-event-id.js';
import { WsApp } from './support/ws-app.js';

let options: SseStreamOptions = {};

@Controller()
class EventsController {
  constructor(private readonly hub: EventHubService) {}

  @Sse('events/:topic')
  events(@Param('topic') topic: string, @Headers('last-event-id') lastEventId?: string) {
    return this.hub.stream(topic, { ...options, lastEventId });
  }
}

interface Received {
  event: string | undefined;
  id: string | undefined;
  data: string;
  comment: string | undefined;
}

/** A client of server-sent events that keeps what it was told, down to the lines. */
class EventClient {
  text = '';
  isEnded = false;

  private constructor(readonly response: IncomingMessage) {
    response.setEncoding('utf8');
    response.on('data', (chunk: string) => (this.text += chunk));
    response.on('close', () => (this.isEnded = true));
    response.on('error', () => undefined);
  }

  static open(port: number, topic: string, lastEventId?: string): Promise<EventClient> {
    const headers = lastEventId === undefined ? {} : { 'last-event-id': lastEventId };
    const url = `http://127.0.0.1:${port}/events/${encodeURIComponent(topic)}`;
    return new Promise((resolve, reject) => {
      get(url, { headers, agent: false }, (response) => resolve(new EventClient(response))).on(
        'error',
        reject,
      );
    });
  }

  get all(): Received[] {
    return this.text
      .split('\n\n')
      .slice(0, -1)
      .map((block) => block.trimStart().split('\n'))
      .filter((lines) => lines[0] !== '')
      .map((lines) => {
        const field = (name: string) =>
          lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
        return { event: field('event'), id: field('id'), data: field('data') ?? '', comment: field('') };
      });
  }

  get events(): Received[] {
    return this.all.filter(({ event }) => event !== undefined);
  }
}

describe('Server-sent events', () => {
  let app: WsApp;
  const clients: EventClient[] = [];

  beforeEach(async () => {
    options = {};
    app = await WsApp.start({ controllers: [EventsController], store: new MemoryChannelStore() });
  });
  afterEach(async () => {
    for (const { response } of clients.splice(0)) response.destroy();
    await app.close();
  });

  async function open(topic: string, lastEventId?: string): Promise<EventClient> {
    const client = await EventClient.open(app.port, topic, lastEventId);
    clients.push(client);
    await eventually(() => expect(client.events.length).toBeGreaterThan(0));
    return client;
  }

  it('streams a topic, and goes on where a client was', async () => {
    const first = await open('kept.a');
    expect(first.events[0]).toMatchObject({ event: 'nestbox:subscribed' });
    for (let i = 0; i < 5; i++) await app.hub.publish('kept.a', { i });
    await eventually(() => expect(first.events).toHaveLength(6));
    expect(first.events.slice(1).map(({ event, data }) => [event, data])).toEqual(
      [0, 1, 2, 3, 4].map((i) => ['kept.a', `{"i":${i}}`]),
    );
    first.response.destroy();
    await eventually(() => expect(app.channels.localCount).toBe(0));
    await app.hub.publish('kept.a', { i: 5 });

    const again = await open('kept.a', first.events[3]!.id);
    await eventually(() => expect(again.events).toHaveLength(4));
    expect(JSON.parse(again.events[0]!.data)).toMatchObject({ recovered: true, position: { offset: 6 } });
    // Whoever is cut off here asks for the same again.
    expect(again.events[0]!.id).toBe(first.events[3]!.id);
    expect(again.events.slice(1).map(({ data }) => data)).toEqual([3, 4, 5].map((i) => `{"i":${i}}`));

    // A client that had only seen the first event misses nothing.
    const early = await open('kept.a');
    await app.hub.publish('kept.a', { i: 6 });
    const resumed = await open('kept.a', early.events[0]!.id);
    await eventually(() => expect(resumed.events.map(({ data }) => data).slice(1)).toEqual(['{"i":6}']));
    const lost = await open('kept.a', 'other:3');
    expect(JSON.parse(lost.events[0]!.data)).toMatchObject({ recovered: false });
  });

  it('sends what is no JSON message in a form that is', async () => {
    const client = await open('kept.b');
    await app.hub.publish('kept.b', Buffer.from([0, 255]), { binary: true });
    await eventually(() => expect(client.events).toHaveLength(2));
    expect(client.events[1]).toMatchObject({ event: 'kept.b', data: '{"base64":"AP8="}' });
    expect(client.events[1]!.id).toMatch(/^.+:1$/);
    const [id] = app.channels.localIds();
    await app.channels.send(id!, { event: 'hello', data: [1] });
    await app.channels.send(id!, 'only you');
    await eventually(() => expect(client.all).toHaveLength(4));
    expect(client.all.slice(2)).toEqual([
      { event: 'hello', id: client.events[1]!.id, data: '[1]', comment: undefined },
      { event: undefined, id: client.events[1]!.id, data: '"only you"', comment: undefined },
    ]);
  });

  it('keeps its framing whatever a topic and its data hold', async () => {
    const topic = 'a\r\ndata: fake\n\n🦊';
    const client = await open(topic);
    await app.hub.publish(topic, 'line 1\r\nline 2\n\nevent: fake');
    await eventually(() => expect(client.events).toHaveLength(2));
    expect(client.events[1]).toMatchObject({ event: 'a%0D%0Adata: fake%0A%0A🦊' });
    expect(JSON.parse(client.events[1]!.data)).toBe('line 1\r\nline 2\n\nevent: fake');
  });

  it('beats while there is nothing to say, without touching the position of the client', async () => {
    options = { heartbeat: 30 };
    const client = await open('kept.c');
    await app.hub.publish('kept.c', 1);
    await eventually(() => expect(client.all.at(-1)?.comment).toBe('heartbeat'));
    expect(client.all.at(-1)).toEqual({
      event: undefined,
      id: client.events.at(-1)!.id,
      data: '',
      comment: 'heartbeat',
    });
    expect(client.all.at(-1)!.id).toMatch(/:1$/);
  });

  it('ends the stream of a client that does not read, and no other', async () => {
    options = { maxBuffered: 300_000 };
    const [slow, fast] = [await open('t'), await open('t')];
    slow.response.pause();
    const data = 'x'.repeat(100_000);
    for (let i = 1; app.channels.localCount === 2 && i < 500; i++) {
      await app.hub.publish('t', data);
      await eventually(() => expect(fast.events).toHaveLength(i + 1));
    }
    expect(app.channels.localCount).toBe(1);
    slow.response.resume();
    await eventually(() => expect(slow.isEnded).toBe(true));
    expect(fast.isEnded).toBe(false);
  });

  it('completes on shutdown', async () => {
    const client = await open('t');
    await app.hub.publish('t', 1);
    await app.app.close();
    await eventually(() => expect(client.isEnded).toBe(true));
    expect(client.events.map(({ data }) => data).at(-1)).toBe('1');
  });

  it('leaves no channel when nobody waits for it any more, and tells of what fails', async () => {
    const subscription = app.hub.stream('t').subscribe();
    subscription.unsubscribe();
    await eventually(async () => expect(await app.channels.store.count()).toBe(0));
    const failing = sseStream(app.channels, { subscribe: () => Promise.reject(new Error('down')) }, 't');
    await expect(new Promise((_, error) => failing.subscribe({ error }))).rejects.toThrow('down');
    await eventually(() => expect(app.channels.localCount).toBe(0));
    expect(() => app.hub.stream('')).toThrow('topic');
    expect(() => app.hub.stream('t', { maxBuffered: 0 })).toThrow('options.maxBuffered');
    expect(() => app.hub.stream('t', { heartbeat: 0 })).toThrow('options.heartbeat');
  });

  it('reads only ids that it may have given', () => {
    expect(positionOf('a:b:7')).toEqual({ epoch: 'a:b', offset: 7 });
    const others = [
      '',
      '7',
      ':7',
      'a:',
      'a:-1',
      'a:1.5',
      'a:99999999999999999',
      'a\0:1',
      `${'a'.repeat(513)}:1`,
    ];
    for (const other of [...others, null, undefined, ['a:1']]) expect(positionOf(other)).toBeUndefined();
  });
});
