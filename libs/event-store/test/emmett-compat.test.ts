import {
  CommandHandler,
  DeciderCommandHandler,
  isExpectedVersionConflictError,
  type Event as EmmettEvent,
  type EventStore as EmmettEventStore,
  type ReadEventMetadataWithGlobalPosition,
} from '@event-driven-io/emmett';
import { createEventStore, MemoryEventStoreBackend, type Event, type EventStore } from '@nestbox/event-store';
import { testDatabase, type TestDatabase } from '@nestbox/testing';

type Added = EmmettEvent<'Added', { sku: string; quantity: number }>;
type Confirmed = EmmettEvent<'Confirmed', { total: number }, { by: string }>;
type CartEvent = Added | Confirmed;

interface Cart {
  total: number;
  isOpen: boolean;
}

const cart = {
  initialState: (): Cart => ({ total: 0, isOpen: true }),
  evolve: (state: Cart, event: CartEvent): Cart =>
    event.type === 'Added'
      ? { ...state, total: state.total + event.data.quantity }
      : { ...state, isOpen: false },
};

const add =
  (quantity: number, sku = 'tea') =>
  (state: Cart): CartEvent => {
    if (!state.isOpen) throw new RangeError('The cart is closed.');
    return { type: 'Added', data: { sku, quantity } };
  };

const confirm = (state: Cart): CartEvent => ({
  type: 'Confirmed',
  data: { total: state.total },
  metadata: { by: 'ann' },
});

type CartCommand =
  { type: 'Add'; data: { quantity: number } } | { type: 'Confirm'; data: Record<string, never> };

const handle = CommandHandler<Cart, CartEvent>(cart);
const decide = DeciderCommandHandler<Cart, CartCommand, CartEvent>({
  ...cart,
  decide: (command, state) => (command.type === 'Add' ? add(command.data.quantity)(state) : confirm(state)),
});

let database: TestDatabase;
beforeAll(async () => (database = await testDatabase()));
afterAll(() => database.drop());

describe.each([
  ['PostgreSQL', () => createEventStore(database.url)],
  ['memory', () => createEventStore(new MemoryEventStoreBackend())],
])("Emmett's command handlers on %s", (_name, open) => {
  let store: EventStore;
  let count = 0;
  let id = '';
  beforeAll(async () => {
    store = open();
    await store.init();
  });
  afterAll(() => store.close());
  beforeEach(() => (id = `cart-${++count}`));

  const totalOf = async (): Promise<bigint> => {
    const { state } = await store.aggregateStream<number, Added>(id, {
      evolve: (sum, event) => sum + event.data.quantity,
      initialState: () => 0,
    });
    return BigInt(state);
  };

  it('take the store for one of theirs, without a cast', async () => {
    const theirs: EmmettEventStore<ReadEventMetadataWithGlobalPosition> = store;
    const result = await theirs.appendToStream<CartEvent>(id, [add(2)(cart.initialState())]);
    expect(result.nextExpectedStreamVersion).toBe(1n);
    const { events, currentStreamVersion, streamExists } = await theirs.readStream<CartEvent>(id);
    expect({ currentStreamVersion, streamExists }).toEqual({ currentStreamVersion: 1n, streamExists: true });
    const [event] = events;
    const position: bigint = event!.metadata.globalPosition;
    expect(event).toMatchObject({
      kind: 'Event',
      type: 'Added',
      data: { sku: 'tea', quantity: 2 },
      metadata: { streamName: id, streamPosition: 1n, globalPosition: position },
    });
    expect(await theirs.streamExists(id)).toBe(true);
    expect(await theirs.streamExists(`${id}-none`)).toBe(false);
  });

  it('append what a handler decides, and give the new state', async () => {
    const first = await handle(store, id, add(2));
    expect(first).toMatchObject({
      nextExpectedStreamVersion: 1n,
      createdNewStream: true,
      newState: { total: 2, isOpen: true },
      newEvents: [{ type: 'Added', data: { sku: 'tea', quantity: 2 } }],
    });
    const second = await handle(store, id, (state) => [add(3)(state), confirm({ ...state, total: 5 })]);
    expect(second).toMatchObject({
      nextExpectedStreamVersion: 3n,
      createdNewStream: false,
      newState: { total: 5, isOpen: false },
    });
    const later: bigint = second.lastEventGlobalPosition;
    expect(later).toBeGreaterThan(first.lastEventGlobalPosition);
    const { events } = await store.readStream<CartEvent>(id);
    expect(events.map(({ type, metadata }) => [type, metadata.streamPosition])).toEqual([
      ['Added', 1n],
      ['Added', 2n],
      ['Confirmed', 3n],
    ]);
    expect(events[2]!.metadata).toMatchObject({ by: 'ann' });
  });

  it('run several handlers, each on the state that the one before left', async () => {
    const result = await handle(store, id, [add(1), add(2), confirm]);
    expect(result.newEvents).toMatchObject([{}, {}, { type: 'Confirmed', data: { total: 3 } }]);
    expect(result.nextExpectedStreamVersion).toBe(3n);
  });

  it('append nothing when nothing happens', async () => {
    await handle(store, id, add(1));
    const result = await handle(store, id, () => []);
    expect(result).toMatchObject({
      nextExpectedStreamVersion: 1n,
      createdNewStream: false,
      newState: { total: 1 },
      newEvents: [],
    });
    expect(await handle(store, `${id}-none`, () => [])).toMatchObject({ nextExpectedStreamVersion: 0n });
    expect(await store.streamExists(`${id}-none`)).toBe(false);
  });

  it('leave nothing behind when the last of several handlers refuses', async () => {
    await expect(handle(store, id, [add(1), confirm, add(2)])).rejects.toThrow(
      new RangeError('The cart is closed.'),
    );
    expect(await store.streamExists(id)).toBe(false);
  });

  it('map ids to streams', async () => {
    const mapped = CommandHandler<Cart, CartEvent>({ ...cart, mapToStreamId: (given) => `mapped-${given}` });
    await mapped(store, id, add(1));
    expect(await store.streamExists(`mapped-${id}`)).toBe(true);
  });

  it('decide by a decider, one command or several', async () => {
    await decide(store, id, { type: 'Add', data: { quantity: 2 } });
    const result = await decide(store, id, [
      { type: 'Add', data: { quantity: 3 } },
      { type: 'Confirm', data: {} },
    ]);
    expect(result.newState).toEqual({ total: 5, isOpen: false });
    await expect(decide(store, id, { type: 'Add', data: { quantity: 1 } })).rejects.toThrow(RangeError);
    expect((await store.readStream(id)).currentStreamVersion).toBe(3n);
  });

  it('refuse an expected version that is not the current one, before the handler runs', async () => {
    await handle(store, id, add(1));
    let calls = 0;
    const counting = (state: Cart): CartEvent => {
      calls++;
      return add(1)(state);
    };
    for (const expectedStreamVersion of [0n, 2n, 'STREAM_DOES_NOT_EXIST'] as const) {
      await expect(handle(store, id, counting, { expectedStreamVersion })).rejects.toMatchObject({
        errorCode: 412,
        current: 1n,
        expected: expectedStreamVersion,
      });
    }
    await expect(
      handle(store, `${id}-none`, counting, { expectedStreamVersion: 'STREAM_EXISTS' }),
    ).rejects.toMatchObject({ errorCode: 412, current: 0n });
    expect(calls).toBe(0);
    await handle(store, id, counting, { expectedStreamVersion: 1n });
    await handle(store, id, counting, { expectedStreamVersion: 'STREAM_EXISTS' });
    expect(calls).toBe(2);
  });

  it('know our conflict for one of theirs, and try again when told to', async () => {
    await handle(store, id, add(1));
    let calls = 0;
    // What is appended in between is part of the same session, and so is undone together with it.
    const interrupted = async (state: Cart): Promise<CartEvent> => {
      if (++calls === 1) await store.appendToStream<CartEvent>(id, [add(100)(state)]);
      return add(10)(state);
    };
    await expect(handle(store, id, interrupted)).rejects.toMatchObject({
      errorCode: 412,
      current: 2n,
      expected: 1n,
    });
    calls = 0;
    const result = await handle(store, id, interrupted, { retry: { onVersionConflict: true } });
    expect(calls).toBe(2);
    expect(result).toMatchObject({ nextExpectedStreamVersion: 2n, newState: { total: 11 } });
    expect(await totalOf()).toBe(11n);
  });

  it('lose no command of many at once', async () => {
    const retry = {
      onVersionConflict: {
        retries: 50,
        minTimeout: 1,
        factor: 1.2,
        randomize: true,
        shouldRetryError: isExpectedVersionConflictError,
      },
    };
    await Promise.all(Array.from({ length: 10 }, (_, i) => handle(store, id, add(10 ** i), { retry })));
    expect(await totalOf()).toBe(1_111_111_111n);
    const { currentStreamVersion } = await store.readStream(id);
    expect(currentStreamVersion).toBe(10n);
  });

  it('take part in a session of the caller: all of it is there, or nothing', async () => {
    const other = `${id}-other`;
    const both = (fail: boolean): Promise<void> =>
      store.withSession(async ({ eventStore }) => {
        await handle(eventStore, id, add(1));
        await decide(eventStore, other, { type: 'Add', data: { quantity: 2 } });
        expect(await eventStore.streamExists(other)).toBe(true);
        if (fail) throw new Error('no');
      });
    await expect(both(true)).rejects.toThrow('no');
    expect([await store.streamExists(id), await store.streamExists(other)]).toEqual([false, false]);
    await both(false);
    expect([await store.streamExists(id), await store.streamExists(other)]).toEqual([true, true]);
  });

  it('run in the partition that they are told', async () => {
    const partition = `tenant-${id}`;
    await store.partitions.create(partition);
    await handle(store, id, add(1), { partition });
    const result = await handle(store, id, add(2), { partition });
    expect(result.newState.total).toBe(3);
    expect(await store.streamExists(id)).toBe(false);
    expect(await store.streamExists(id, { partition })).toBe(true);
  });

  it('read events that are stored in another form', async () => {
    type Stored = EmmettEvent<'Added', { sku: string; count: string }>;
    const upcast = ({ type, data }: Stored): Added => ({
      type,
      data: { sku: data.sku, quantity: Number(data.count) },
    });
    const downcast = ({ type, data }: Added): Stored => ({
      type,
      data: { sku: data.sku, count: String(data.quantity) },
    });
    const events = [2, 3].map((quantity) => ({
      ...add(quantity)(cart.initialState()),
      metadata: { by: 'bob' },
    }));
    await store.appendToStream<Added, Stored>(id, events as Added[], {
      schema: { versioning: { downcast } },
    });

    const versioned = CommandHandler<Cart, Added, Stored>({ ...cart, schema: { versioning: { upcast } } });
    expect((await versioned(store, id, () => [])).newState.total).toBe(5);

    const stored = await store.readStream<Stored>(id);
    expect(stored.events[1]!.data).toEqual({ sku: 'tea', count: '3' });
    const read = await store.readStream<Added, Stored>(id, { schema: { versioning: { upcast } } });
    expect(read.events[1]).toMatchObject({
      data: { sku: 'tea', quantity: 3 },
      metadata: { by: 'bob', streamName: id, streamPosition: 2n },
    });
  });
});

describe('The types of events', () => {
  it('have the metadata that they were appended with, ours and theirs', async () => {
    type Noted = Event<'Noted', { text: string }, { by: string }>;
    const store = createEventStore(new MemoryEventStoreBackend());
    await store.appendToStream<Noted | CartEvent>('note-1', [
      { type: 'Noted', data: { text: 'hi' }, metadata: { by: 'ann' } },
      { type: 'Confirmed', data: { total: 1 }, metadata: { by: 'bob' } },
      { type: 'Added', data: { sku: 'tea', quantity: 1 } },
    ]);
    const found: string[] = [];
    for (const event of (await store.readStream<Noted | CartEvent>('note-1')).events) {
      const position: bigint = event.metadata.streamPosition;
      // Without a cast: that it compiles is the test.
      const by: string = event.type === 'Added' ? 'nobody' : event.metadata.by;
      found.push(`${position} ${by}`);
    }
    expect(found).toEqual(['1 ann', '2 bob', '3 nobody']);
    await store.close();
  });
});
