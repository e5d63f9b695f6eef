import {
  createEventStore,
  deciderHandler,
  MemoryEventStoreBackend,
  type EventStore,
} from '@nestbox/event-store';
import {
  account,
  deposit,
  InsufficientFundsError,
  withdraw,
  type Account,
  type AccountEvent,
} from './support/account.js';

describe('deciderHandler', () => {
  const id = 'account-1';
  let store: EventStore;
  beforeEach(() => (store = createEventStore(new MemoryEventStoreBackend())));
  afterEach(() => store.close());

  type AccountCommand =
    { type: 'Deposit'; amount: number } | { type: 'Withdraw'; amount: number } | { type: 'Look' };

  const decider = {
    ...account,
    decide: (command: AccountCommand, state: Account): AccountEvent | AccountEvent[] => {
      switch (command.type) {
        case 'Deposit':
          return deposit(command.amount)();
        case 'Withdraw':
          return [withdraw(command.amount)(state)];
        case 'Look':
          return [];
      }
    },
  };

  it('decides one command', async () => {
    const decide = deciderHandler<Account, AccountCommand, AccountEvent>(store, decider);
    const result = await decide(id, { type: 'Deposit', amount: 3 });
    expect(result).toMatchObject({
      createdNewStream: true,
      newState: { balance: 3 },
      newEvents: [deposit(3)()],
    });
    expect((await decide(id, { type: 'Look' })).nextExpectedStreamVersion).toBe(1n);
  });

  it('decides several commands one after the other, and appends all or nothing', async () => {
    const decide = deciderHandler<Account, AccountCommand, AccountEvent>(store, decider);
    const result = await decide(id, [
      { type: 'Deposit', amount: 3 },
      { type: 'Look' },
      { type: 'Withdraw', amount: 2 },
    ]);
    expect(result).toMatchObject({ nextExpectedStreamVersion: 2n, newState: { balance: 1 } });
    const tooMuch = decide(id, [
      { type: 'Deposit', amount: 1 },
      { type: 'Withdraw', amount: 3 },
    ]);
    await expect(tooMuch).rejects.toThrow(InsufficientFundsError);
    expect((await decide(id, [])).newState.balance).toBe(1);
  });

  it('passes on how to handle, and decides again on a conflict', async () => {
    let isFirst = true;
    const mapToStreamName = (given: string): string => `${given}-mapped`;
    const decide = deciderHandler<Account, AccountCommand, AccountEvent>(store, {
      ...decider,
      mapToStreamName,
      retry: 1,
      decide: async (command, state) => {
        if (isFirst) await store.appendToStream<AccountEvent>(mapToStreamName(id), [deposit(10)()]);
        isFirst = false;
        return decider.decide(command, state);
      },
    });
    expect((await decide(id, { type: 'Deposit', amount: 1 })).newState.balance).toBe(11);
    await expect(
      decide(id, { type: 'Deposit', amount: 1 }, { expectedStreamVersion: 1n }),
    ).rejects.toMatchObject({ current: 2n });
  });
});
