import { documentProjection, type EventStore, type Projection } from '@nestbox/event-store';
import { jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import {
  catchUp,
  noted,
  notedUpTo,
  numberOf,
  quick,
  Stage,
  STAGES,
  whileRunning,
  type Noted,
} from './support/stage.js';
import { expectFold, sumsOf, type Code, type Sum } from './support/sums.js';

beforeEach(() => {
  for (const level of ['log', 'warn', 'error'] as const)
    jest.spyOn(Logger.prototype, level).mockReturnValue();
});

describe.each(STAGES)('a rebuild on %s', (_name, open) => {
  let stage: Stage;
  let name: string;
  beforeEach(async () => {
    stage = await open();
    name = stage.name('sums');
  });
  afterEach(() => stage.close());

  const asyncOn = (store: EventStore, projection: Projection<Noted>, options: object = {}) => {
    const consumer = store.consumer();
    consumer.projector<Noted>({ projection, batchSize: 20, retry: quick, ...options });
    return consumer;
  };
  const documentsOf = (store: EventStore, partition = 'emt:default') =>
    store.collection<Sum>(name, { partition }).find();

  it('covers the partitions that its processor reads: all of them, or those that it is run for', async () => {
    const code: Code = { factor: 1 };
    const projection = sumsOf(name, code);
    const store = await stage.store();
    const partitions = ['emt:default', 'north', 'south'];
    for (const partition of partitions.slice(1)) await store.partitions.create(partition);
    const write = async (): Promise<void> => {
      for (const partition of partitions) await store.appendToStream('cart-1', notedUpTo(7), { partition });
    };
    await write();
    const [own, all] = [sumsOf(`${name}_own`, code), projection];
    const consumers = ['*', 'emt:default', 'south'].map((partition) => {
      const consumer = store.consumer({ partition });
      consumer.projector({ projection: partition === '*' ? all : own });
      return consumer;
    });
    for (const consumer of consumers) await catchUp(consumer);
    code.factor = 2;
    expect(await store.rebuild(name)).toEqual({ events: 21 });
    expect(await store.rebuild(own)).toEqual({ events: 14 });
    await write();
    for (const consumer of consumers) await catchUp(consumer);
    for (const partition of partitions) await expectFold(store, name, 2, { partition });
    name = `${name}_own`;
    for (const partition of ['emt:default', 'south']) await expectFold(store, name, 2, { partition });
    expect(await documentsOf(store, 'north')).toEqual([]);
  });

  it('of several collections goes through though writers take them in another order', async () => {
    const [first, second] = [`a_${name}`, `b_${name}`];
    let factor = 1;
    const projection = documentProjection<Noted>({
      name,
      collections: [first, second],
      handle: async (events, context) => {
        for (const collection of [second, first]) {
          const sums = context.collection<{ sum: number }>(collection);
          const before = (await sums.get('all'))?.sum ?? 0;
          await sums.set('all', { sum: before + events.length * factor });
        }
      },
    });
    const stores = [
      await stage.store({ projections: [projection] }),
      await stage.store({ projections: [projection] }),
    ];
    let [written, isOver] = [0, false];
    const writing = stores.map(async (store, writer) => {
      for (; !isOver; written++) await store.appendToStream(`w-${writer}`, [noted(1)]);
    });
    factor = 2;
    for (const store of stores) await store.rebuild(name, { batchSize: 10 });
    isOver = true;
    await Promise.all(writing);
    for (const collection of [first, second]) {
      expect(await stores[0]!.collection(collection).get('all')).toMatchObject({ sum: 2 * written });
    }
  });

  it('leaves out the events of deleted streams', async () => {
    const projection = sumsOf(name, { factor: 1 });
    const store = await stage.store({ projections: [projection] });
    await store.appendToStream('cart-1', notedUpTo(4));
    await store.appendToStream('cart-2', notedUpTo(5));
    await store.deleteStream('cart-1');
    expect(await store.rebuild(name)).toEqual({ events: 5 });
    await expectFold(store, name, 1);
  });

  it('has what was parked, which is not replayed on top of it', async () => {
    const code: Code = {
      factor: 1,
      before: (n) => {
        if (n === 4) throw new Error('cannot stand 4');
      },
    };
    const projection = sumsOf(name, code);
    const store = await stage.store();
    await store.appendToStream('cart-1', notedUpTo(6));
    const consumer = asyncOn(store, projection, { deadLetter: true });
    await whileRunning(consumer, async () => {
      await consumer.whenCaughtUp();
      expect((await store.processors.parked(name)).map(({ event }) => numberOf(event))).toEqual([4]);
      code.before = undefined;
      await store.rebuild(name);
      expect(await store.processors.parked(name)).toEqual([]);
      expect(await store.processors.replay(name)).toBe(0);
      await store.appendToStream('cart-1', [noted(7)]);
      await consumer.whenCaughtUp();
      await expectFold(store, name, 1);
    });
  });

  it('sees events as the projector does', async () => {
    const projection = sumsOf(name, { factor: 1 });
    const store = await stage.store();
    await store.appendToStream('cart-1', [{ type: 'OldNoted', data: { text: '5' } }]);
    const consumer = asyncOn(store, projection, {
      upcast: (event: { type: string; data: { text: string } }) =>
        event.type === 'OldNoted' ? { ...event, ...noted(Number(event.data.text)) } : event,
    });
    await catchUp(consumer);
    const before = await documentsOf(store);
    expect(before).toMatchObject([{ _id: 'rest-2', sum: 5 }]);
    expect(await store.rebuild(name)).toEqual({ events: 1 });
    expect(await documentsOf(store)).toMatchObject([{ _id: 'rest-2', sum: 5 }]);
  });

  it('of what nobody knows or runs is refused', async () => {
    const store = await stage.store();
    await expect(store.rebuild('none')).rejects.toMatchObject({ code: 'NOT_FOUND', what: 'projection' });
    await expect(store.rebuild(sumsOf(name, { factor: 1 }))).rejects.toMatchObject({
      code: 'NOT_FOUND',
      what: 'processor',
    });
    const collections = [name];
    const handle = () => undefined;
    const inline = documentProjection({ name: 'inline', collections, handle });
    store.registerProjections([{ type: 'inline', projection: { name: 'bare', handle } }, inline]);
    for (const truncate of [undefined, handle]) {
      const projection = { name: `bare-${typeof truncate}`, handle, ...(truncate && { truncate }) };
      store.registerProjections([{ type: 'inline', projection }]);
      await expect(store.rebuild(projection)).rejects.toMatchObject({ code: 'UNSUPPORTED_OPERATION' });
    }
  });
});
