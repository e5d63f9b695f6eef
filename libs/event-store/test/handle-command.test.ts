import { InvalidArgumentError } from '@nestbox/core';
import {
  createEventStore,
  handleCommand,
  MemoryEventStoreBackend,
  type EventStore,
  type ReadEvent,
} from '@nestbox/event-store';
import { testDatabase, type TestDatabase } from '@nestbox/testing';
import {
  account,
  deposit,
  InsufficientFundsError,
  open,
  withdraw,
  type Account,
  type AccountEvent,
  type Deposited,
} from './support/account.js';

/** Long enough pauses that many callers do not keep each other from getting through, on a busy machine either. */
const PATIENT = { attempts: 500, base: 10, max: 200 };

/** A handler that lets another writer come first, so many times. */
function overtaken(store: EventStore, streamName: string, times: number) {
  const counter = { calls: 0 };
  const handler = async (): Promise<Deposited> => {
    if (counter.calls++ < times) await store.appendToStream<AccountEvent>(streamName, [deposit(100)()]);
    return deposit(1)();
  };
  return { counter, handler };
}

let database: TestDatabase;
beforeAll(async () => (database = await testDatabase()));
afterAll(() => database.drop());

describe.each([
  ['PostgreSQL', () => createEventStore(database.url)],
  ['memory', () => createEventStore(new MemoryEventStoreBackend())],
])('handleCommand on %s', (_name, openStore) => {
  let store: EventStore;
  let count = 0;
  let id = '';
  beforeAll(async () => {
    store = openStore();
    await store.init();
  });
  afterAll(() => store.close());
  beforeEach(() => (id = `account-${++count}`));

  const typesIn = async (streamName = id): Promise<string[]> =>
    (await store.readStream<AccountEvent>(streamName)).events.map(({ type }) => type);
  const balanceOf = async (): Promise<number> =>
    (await store.aggregateStream<Account, AccountEvent>(id, account)).state.balance;

  it('appends what the handler decides on, and gives the new state', async () => {
    const handle = handleCommand<Account, AccountEvent>(store, account);
    const created = await handle(id, open);
    expect(created).toEqual({
      nextExpectedStreamVersion: 1n,
      createdNewStream: true,
      lastEventGlobalPosition: expect.any(BigInt),
      newState: { owner: 'ann', balance: 0 },
      newEvents: [open()],
    });
    const several = await handle(id, async () => [deposit(5)(), deposit(6)()]);
    expect(several).toMatchObject({
      nextExpectedStreamVersion: 3n,
      createdNewStream: false,
      newState: { owner: 'ann', balance: 11 },
    });
    expect(several.lastEventGlobalPosition).toBeGreaterThan(created.lastEventGlobalPosition!);
    expect(await typesIn()).toEqual(['Opened', 'Deposited', 'Deposited']);
  });

  it('runs several handlers, each on the state that the one before left, and appends all or nothing', async () => {
    const handle = handleCommand<Account, AccountEvent>(store, account);
    const result = await handle(id, [open, deposit(5), () => [], withdraw(3)]);
    expect(result).toMatchObject({
      nextExpectedStreamVersion: 3n,
      createdNewStream: true,
      newState: { owner: 'ann', balance: 2 },
    });
    await expect(handle(id, [deposit(1), withdraw(4)])).rejects.toThrow(
      new InsufficientFundsError('3 are there.'),
    );
    expect(await typesIn()).toEqual(['Opened', 'Deposited', 'Withdrawn']);
  });

  it('appends nothing when nothing happens', async () => {
    const handle = handleCommand<Account, AccountEvent>(store, account);
    expect(await handle(id, () => [])).toEqual({
      nextExpectedStreamVersion: 0n,
      createdNewStream: false,
      newState: account.initialState(),
      newEvents: [],
    });
    expect(await store.streamExists(id)).toBe(false);
    await handle(id, deposit(1));
    expect(await handle(id, [() => [], () => []])).toMatchObject({
      nextExpectedStreamVersion: 1n,
      newEvents: [],
    });
    expect(await handle(id, [])).toMatchObject({ nextExpectedStreamVersion: 1n, newState: { balance: 1 } });
  });

  it('says so when a handler returns no event', async () => {
    const handle = handleCommand<Account, AccountEvent>(store, account);
    const forgot: () => never = () => undefined as never;
    await expect(handle(id, forgot)).rejects.toThrow(
      new InvalidArgumentError(
        'handle',
        'returned undefined; return an event, an array of events, or [] for nothing.',
      ),
    );
  });

  it('loses none of 50 commands at once on one stream', async () => {
    const handle = handleCommand<Account, AccountEvent>(store, {
      ...account,
      retry: PATIENT,
    });
    await handle(id, [open, deposit(1000)]);
    const results = await Promise.all(
      Array.from({ length: 50 }, (_, i) => handle(id, i % 2 === 0 ? deposit(3) : withdraw(1))),
    );
    const versions = results.map(({ nextExpectedStreamVersion }) => nextExpectedStreamVersion);
    expect(new Set(versions).size).toBe(50);
    expect(await balanceOf()).toBe(1050);
    expect((await store.readStream(id)).currentStreamVersion).toBe(52n);
  }, 60_000);

  it('never lets two commands spend the same money', async () => {
    const handle = handleCommand<Account, AccountEvent>(store, {
      ...account,
      retry: PATIENT,
    });
    await handle(id, deposit(5));
    const results = await Promise.allSettled(Array.from({ length: 20 }, () => handle(id, withdraw(1))));
    const refused = results.filter(({ status }) => status === 'rejected');
    expect(refused).toHaveLength(15);
    for (const { reason } of refused as PromiseRejectedResult[]) {
      expect(reason).toBeInstanceOf(InsufficientFundsError);
    }
    expect(await balanceOf()).toBe(0);
  }, 60_000);

  it('tries a conflict three times again by default, reading anew each time', async () => {
    const handle = handleCommand<Account, AccountEvent>(store, account);
    const late = overtaken(store, id, 3);
    expect((await handle(id, late.handler)).newState.balance).toBe(301);
    expect(late.counter.calls).toBe(4);
    const tooLate = overtaken(store, id, 4);
    await expect(handle(id, tooLate.handler)).rejects.toMatchObject({
      code: 'EXPECTED_VERSION_CONFLICT',
      errorCode: 412,
      streamName: id,
      expected: 7n,
      current: 8n,
    });
    expect(tooLate.counter.calls).toBe(4);
  });

  it('tries as often as it is told, by its settings or by the call', async () => {
    const never = handleCommand<Account, AccountEvent>(store, { ...account, retry: 0 });
    const once = overtaken(store, id, 1);
    await expect(never(id, once.handler)).rejects.toMatchObject({ errorCode: 412 });
    expect(once.counter.calls).toBe(1);
    const often = overtaken(store, id, 5);
    await never(id, often.handler, { retry: { attempts: 6, base: 1, max: 1 } });
    expect(often.counter.calls).toBe(6);
    const twice = overtaken(store, id, 2);
    await never(id, twice.handler, { retry: 2 });
    expect(twice.counter.calls).toBe(3);
  });

  it('does not try again what the handler itself throws', async () => {
    const handle = handleCommand<Account, AccountEvent>(store, account);
    let calls = 0;
    const refuse = (): never => {
      calls++;
      throw new InsufficientFundsError('no');
    };
    await expect(handle(id, refuse)).rejects.toThrow(new InsufficientFundsError('no'));
    const otherStream = async (): Promise<AccountEvent> => {
      calls++;
      await store.appendToStream<AccountEvent>(`${id}-other`, [open()], {
        expectedStreamVersion: 'STREAM_EXISTS',
      });
      return open();
    };
    await expect(handle(id, otherStream)).rejects.toMatchObject({ streamName: `${id}-other` });
    expect(calls).toBe(2);
  });

  it.each([0n, 2n, 'STREAM_DOES_NOT_EXIST'] as const)(
    'does not run the handler when the stream is not at the expected version, %p',
    async (expectedStreamVersion) => {
      const handle = handleCommand<Account, AccountEvent>(store, account);
      await handle(id, open);
      const { counter, handler } = overtaken(store, id, 0);
      await expect(handle(id, handler, { expectedStreamVersion })).rejects.toMatchObject({
        expected: expectedStreamVersion,
        current: 1n,
      });
      expect(counter.calls).toBe(0);
    },
  );

  it('does not try again when the caller expects a version', async () => {
    const handle = handleCommand<Account, AccountEvent>(store, account);
    const first = overtaken(store, id, 1);
    await expect(
      handle(id, first.handler, { expectedStreamVersion: 'STREAM_DOES_NOT_EXIST' }),
    ).rejects.toMatchObject({ errorCode: 412, current: 1n });
    const second = overtaken(store, id, 1);
    await expect(handle(id, second.handler, { expectedStreamVersion: 1n })).rejects.toMatchObject({
      expected: 1n,
      current: 2n,
    });
    expect([first.counter.calls, second.counter.calls]).toEqual([1, 1]);
    await handle(id, deposit(1), { expectedStreamVersion: 2n });
    expect((await store.readStream(id)).currentStreamVersion).toBe(3n);
  });

  it('tries again when the caller only expects a stream, and not when it is not there', async () => {
    const handle = handleCommand<Account, AccountEvent>(store, account);
    const { counter, handler } = overtaken(store, id, 1);
    await expect(handle(id, handler, { expectedStreamVersion: 'STREAM_EXISTS' })).rejects.toMatchObject({
      expected: 'STREAM_EXISTS',
      current: 0n,
    });
    expect(counter.calls).toBe(0);
    await handle(id, open);
    const result = await handle(id, handler, { expectedStreamVersion: 'STREAM_EXISTS' });
    expect(result.newState.balance).toBe(101);
    expect(counter.calls).toBe(2);
  });

  it('appends whatever came in between when the caller wants no check', async () => {
    const handle = handleCommand<Account, AccountEvent>(store, account);
    const { counter, handler } = overtaken(store, id, 1);
    const result = await handle(id, handler, { expectedStreamVersion: 'NO_CONCURRENCY_CHECK' });
    expect(result).toMatchObject({ nextExpectedStreamVersion: 2n, newState: { balance: 1 } });
    expect(counter.calls).toBe(1);
  });

  it('does not try again in a transaction, which ends as a whole', async () => {
    const handle = handleCommand<Account, AccountEvent>(store, account);
    const { counter, handler } = overtaken(store, id, 1);
    const session = store.withSession(async ({ eventStore }) => {
      await eventStore.appendToStream<AccountEvent>(`${id}-other`, [open()]);
      await handle(id, handler);
    });
    await expect(session).rejects.toMatchObject({ errorCode: 412 });
    expect(counter.calls).toBe(1);
    expect([await store.streamExists(id), await store.streamExists(`${id}-other`)]).toEqual([false, false]);
  });

  it('is part of a transaction', async () => {
    const handle = handleCommand<Account, AccountEvent>(store, account);
    await store.withSession(async () => {
      await handle(id, open);
      await handle(id, deposit(4));
      expect((await handle(`${id}-other`, deposit(2))).newState.balance).toBe(2);
    });
    expect(await balanceOf()).toBe(4);
  });

  it('keeps the state, so that a long stream is not read from its beginning', async () => {
    let evolved = 0;
    const evolve = (state: Account, event: AccountEvent): Account => {
      evolved++;
      return account.evolve(state, event);
    };
    const handle = handleCommand<Account, AccountEvent>(store, {
      ...account,
      evolve,
      snapshot: { every: 10 },
    });
    await handle(id, () => Array.from({ length: 30 }, () => deposit(1)()));
    await handle(id, deposit(1));
    evolved = 0;
    const result = await handle(id, deposit(1));
    // The event behind the snapshot, and the new one.
    expect(evolved).toBe(2);
    expect(result).toMatchObject({ newState: { balance: 32 }, nextExpectedStreamVersion: 32n });
  });

  it('reads events as they look today, and stores them as the caller says', async () => {
    await store.appendToStream(id, [{ type: 'Paid', data: { cents: 700 } }]);
    const upcast = (event: ReadEvent): ReadEvent =>
      event.type === 'Paid'
        ? { ...event, type: 'Deposited', data: { amount: (event.data as { cents: number }).cents / 100 } }
        : event;
    const handle = handleCommand<Account, AccountEvent>(store, { ...account, upcast });
    const result = await handle(id, withdraw(3), { correlationId: 'order-1' });
    expect(result.newState.balance).toBe(4);
    const { events } = await store.readStream(id, { from: 2n });
    expect(events).toMatchObject([{ type: 'Withdrawn', metadata: { correlationId: 'order-1' } }]);
  });

  it('maps ids to streams, and stays in its partition', async () => {
    const partition = `tenant-${id}`;
    await store.partitions.create(partition);
    const mapToStreamName = (given: string): string => `mapped-${given}`;
    const handle = handleCommand<Account, AccountEvent>(store, { ...account, mapToStreamName });
    await handle(id, deposit(1), { partition });
    expect((await handle(id, deposit(2), { partition })).newState.balance).toBe(3);
    expect(await store.streamExists(`mapped-${id}`, { partition })).toBe(true);
    expect(await store.streamExists(`mapped-${id}`)).toBe(false);
  });

  it('refuses a deleted stream for good', async () => {
    const handle = handleCommand<Account, AccountEvent>(store, account);
    await handle(id, open);
    await store.deleteStream(id);
    await expect(handle(id, open)).rejects.toMatchObject({ code: 'STREAM_DELETED' });
  });

  it('refuses settings that make no sense', async () => {
    const make = (retry: unknown) => (): unknown =>
      handleCommand<Account, AccountEvent>(store, { ...account, retry: retry as number });
    expect(make(-1)).toThrow(
      new InvalidArgumentError('retry', 'is -1; give how often to try again, 0 for never.'),
    );
    expect(make(1.5)).toThrow(InvalidArgumentError);
    expect(make({ attempts: 0 })).toThrow('retry.attempts');
    expect(make({ base: 'soon' })).toThrow('retry.base');
    const handle = handleCommand<Account, AccountEvent>(store, account);
    await expect(handle(id, open, { retry: -1 })).rejects.toThrow('options.retry');
    await expect(handle('', open)).rejects.toThrow('streamName');
  });
});
