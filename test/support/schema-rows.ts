import { once } from 'node:events';
import { PgBackplane, PgChannelStore } from '@nestbox/channels';
import { PgEventHubStore } from '@nestbox/event-hub';
import {
  createConsumer,
  createEventStore,
  reactor,
  singleStreamProjection,
  type Event,
  type EventStore,
} from '@nestbox/event-store';
import { KeyValueStore, PostgresAdapter } from '@nestbox/kv';
import { eventually } from '@nestbox/testing';
import { createWorkflows, Workflow, type WorkflowContext, type WorkflowService } from '@nestbox/workflows';

/** Something in every schema, written by the release that is frozen and read by those that come after it. */

const FOREVER = '36500d';
const RETENTION = { size: 10, ttlMs: 36_500 * 86_400_000 };
const receiver = { onMessage: () => undefined, onGap: () => undefined, onRecovered: () => undefined };

type ItemAdded = Event<'ItemAdded', { price: number }>;
const add = (price: number): ItemAdded => ({ type: 'ItemAdded', data: { price } });
const total = (state: { total: number } | null, { data }: ItemAdded): { total: number } => ({
  total: (state?.total ?? 0) + data.price,
});
const carts = singleStreamProjection<{ total: number }, ItemAdded>({
  collectionName: 'carts',
  canHandle: ['ItemAdded'],
  evolve: total,
});

/** The run whose worker is at it when the rows are kept, and never ends it. */
const HELD = 'held';

@Workflow({ name: 'upgrade.order' })
class Order {
  constructor(
    private readonly done: string[] = [],
    private readonly hold = false,
  ) {}

  async run(context: WorkflowContext, input: { id: string }): Promise<{ paid: string; answer: string }> {
    const paid = await context.step('pay', async ({ signal }) => {
      if (this.hold && input.id === HELD) await aborted(signal);
      this.done.push(`pay ${input.id}`);
      return `paid ${input.id}`;
    });
    const answer = await context.waitForSignal<string>('answered');
    await context.step('ship', () => void this.done.push(`ship ${input.id}`));
    return { paid, answer };
  }
}

async function aborted(signal: AbortSignal): Promise<never> {
  await once(signal, 'abort');
  throw signal.reason;
}

function openKv(url: string): KeyValueStore {
  return new KeyValueStore({
    adapter: new PostgresAdapter({ connectionString: url }),
    enableVersioning: true,
  });
}

function openEvents(url: string): EventStore {
  return createEventStore(url, { projections: [carts] });
}

function openWorkflows(url: string, done: string[], hold = false): WorkflowService {
  return createWorkflows(url, {
    workflows: [new Order(done, hold)],
    // One that holds a run has no room for another.
    concurrency: hold ? 1 : 10,
    drainTimeout: '10ms',
  });
}

/** Handles all events that were not handled yet, as one processor; resolves to their prices. */
async function handleEvents(url: string): Promise<number[]> {
  const prices: number[] = [];
  const consumer = createConsumer(url, {
    processors: [
      reactor<ItemAdded>({
        processorId: 'prices',
        eachMessage: ({ data }) => void prices.push(data.price),
      }),
    ],
  });
  await consumer.start();
  await consumer.whenCaughtUp();
  await consumer.close();
  return prices;
}

/**
 * Writes the rows through the libraries. A run of a workflow stays under way until what it resolves to is disposed of.
 */
export async function writeRows(url: string): Promise<AsyncDisposable> {
  const kv = openKv(url);
  await kv.set('plain', { nested: [1, 'two', null, true] });
  await kv.set('twice', 'first');
  await kv.set('twice', 'second');
  await kv.set('expires', 'later', { ttl: FOREVER });
  await kv.set('gone', 1);
  await kv.set('gone', 2);
  await kv.delete('gone');
  await kv.increment('count', 41n);
  await kv.close();

  const events = openEvents(url);
  await events.appendToStream('cart-1', [add(3), { ...add(4), messageId: 'own-id' }]);
  await events.appendToStream('cart-2', [add(5)]);
  await events.close();
  await handleEvents(url);

  const workflows = openWorkflows(url, []);
  await workflows.startWorker();
  for (const id of ['done', 'waiting']) await workflows.start(Order, { id }, { id });
  await workflows.signal('done', 'answered', 'yes');
  await workflows.get('done').result();
  await eventually(async () => (await workflows.get('waiting').status()) === 'suspended');
  await workflows.close();

  const channels = new PgChannelStore(url);
  const opening = { channelId: 'ann', channelName: 'live', openingData: { from: 'page' } };
  await channels.addChannel(opening);
  await channels.setUserSession('ann', { userId: 'u1', roles: ['buyer'] });
  const hub = new PgEventHubStore(url);
  await hub.subscribe('stock', 'ann');
  await hub.close();
  await channels.close();

  const backplane = new PgBackplane(url);
  await backplane.open('node-1', receiver);
  const head = { topic: 'stock', binary: false, except: [] };
  for (const text of ['1', '2']) {
    await backplane.publish({ ...head, payload: Buffer.from(text) }, RETENTION);
  }
  await backplane.close();

  const holder = openWorkflows(url, [], true);
  await holder.startWorker();
  const held = await holder.start(Order, { id: HELD }, { id: HELD });
  await eventually(() => holder.activeRuns === 1);
  await held.signal('answered', 'in between');
  await holder.start(Order, { id: 'queued' }, { id: 'queued' });
  await holder.signal('queued', 'answered', 'early');
  return { [Symbol.asyncDispose]: () => holder.close() };
}

/** Reads the rows back through the libraries, ends what was under way, and writes on. */
export async function expectRows(url: string): Promise<void> {
  const kv = openKv(url);
  expect(await kv.get('plain')).toEqual({ nested: [1, 'two', null, true] });
  expect(await kv.entry('twice')).toMatchObject({ value: 'second', version: 2n, expiresAt: null });
  expect((await kv.history('twice')).map(({ value }) => value)).toEqual(
    expect.arrayContaining(['first', 'second']),
  );
  expect((await kv.entry('expires'))!.expiresAt!.getUTCFullYear()).toBeGreaterThan(2100);
  expect(await kv.has('gone')).toBe(false);
  expect((await kv.set('gone', 3)).version).toBeGreaterThan(2n);
  expect(await kv.increment('count')).toBe(42n);
  await kv.set('twice', 'third', { ifVersion: 2n });
  await kv.close();

  const events = openEvents(url);
  const { events: read } = await events.readStream<ItemAdded>('cart-1');
  expect(read.map(({ data }) => data.price)).toEqual([3, 4]);
  expect(
    (await events.appendToStream('cart-1', [{ ...add(4), messageId: 'own-id' }])).nextExpectedStreamVersion,
  ).toBe(2n);
  await events.appendToStream('cart-1', [add(6)], { expectedStreamVersion: 2n });
  expect(await events.collection<{ total: number }>('carts').get('cart-1')).toMatchObject({ total: 13 });
  expect(await events.collection<{ total: number }>('carts').get('cart-2')).toMatchObject({ total: 5 });
  await events.close();
  // What was handled before is not handled again.
  expect(await handleEvents(url)).toEqual([6]);

  const done: string[] = [];
  const workflows = openWorkflows(url, done);
  await workflows.startWorker();
  expect(await workflows.get('done').result()).toEqual({ paid: 'paid done', answer: 'yes' });
  await workflows.signal('waiting', 'answered', 'at last');
  expect(await workflows.get('waiting').result()).toEqual({ paid: 'paid waiting', answer: 'at last' });
  expect(await workflows.get('queued').result()).toEqual({ paid: 'paid queued', answer: 'early' });
  expect(await workflows.get(HELD).result()).toEqual({ paid: 'paid held', answer: 'in between' });
  await workflows.close();
  const expected = ['pay held', 'pay queued', 'ship held', 'ship queued', 'ship waiting'];
  expect(done.toSorted()).toEqual(expected);

  const channels = new PgChannelStore(url);
  expect(await channels.getChannelAndSession('ann')).toMatchObject({
    channelName: 'live',
    openingData: { from: 'page' },
    session: { userId: 'u1', roles: ['buyer'] },
  });
  expect(await channels.findByUser('u1')).toEqual(['ann']);
  const hub = new PgEventHubStore(url);
  expect(await hub.getChannelIdsForTopic('stock')).toEqual(['ann']);
  await channels.removeChannels(['ann']);
  expect(await hub.getTopicsForChannel('ann')).toEqual([]);
  await hub.close();
  await channels.close();

  const backplane = new PgBackplane(url);
  await backplane.open('node-2', receiver);
  const page = await backplane.history('stock');
  expect(page!.messages.map(({ payload }) => payload.toString())).toEqual(['1', '2']);
  const [first] = page!.messages;
  const head = { topic: 'stock', binary: false, except: [], payload: Buffer.from('3') };
  await backplane.publish(head, RETENTION);
  const next = await backplane.history('stock', { since: first!.position! });
  expect(next).toMatchObject({ complete: true });
  expect(next!.messages.map(({ payload }) => payload.toString())).toEqual(['2', '3']);
  await backplane.close();
}
