import type { Event } from '@nestbox/event-store';

type Opened = Event<'Opened', { owner: string }>;
export type Deposited = Event<'Deposited', { amount: number }>;
type Withdrawn = Event<'Withdrawn', { amount: number }>;
export type AccountEvent = Opened | Deposited | Withdrawn;

export interface Account {
  owner: string | null;
  balance: number;
}

export class InsufficientFundsError extends Error {}

export const account = {
  initialState: (): Account => ({ owner: null, balance: 0 }),
  evolve: (state: Account, event: AccountEvent): Account => {
    switch (event.type) {
      case 'Opened':
        return { ...state, owner: event.data.owner };
      case 'Deposited':
        return { ...state, balance: state.balance + event.data.amount };
      case 'Withdrawn':
        return { ...state, balance: state.balance - event.data.amount };
    }
  },
};

export const open = (): Opened => ({ type: 'Opened', data: { owner: 'ann' } });
export const deposit = (amount: number) => (): Deposited => ({ type: 'Deposited', data: { amount } });
export const withdraw =
  (amount: number) =>
  ({ balance }: Account): Withdrawn => {
    if (balance < amount) throw new InsufficientFundsError(`${balance} are there.`);
    return { type: 'Withdrawn', data: { amount } };
  };
