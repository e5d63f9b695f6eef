import type { Event } from '@nestbox/event-store';
import { DeciderSpec, SpecFailedError } from '@nestbox/testing/event-store';

type Opened = Event<'Opened', { by: string }>;
type Added = Event<'Added', { sku: string; quantity: number; id?: string }>;
type Confirmed = Event<'Confirmed', { total: number }>;
type CartEvent = Opened | Added | Confirmed;
type CartCommand = { type: 'Add'; sku: string; quantity: number } | { type: 'Confirm' };

interface Cart {
  total: number;
  isOpen: boolean;
}

class CartClosedError extends Error {
  constructor(readonly total: number) {
    super('The cart is closed.');
  }
}

const opened: Opened = { type: 'Opened', data: { by: 'ann' } };
const added = (quantity: number, sku = 'tea'): Added => ({ type: 'Added', data: { sku, quantity } });
const confirmed = (total: number): Confirmed => ({ type: 'Confirmed', data: { total } });

const cart = {
  initialState: (): Cart => ({ total: 0, isOpen: true }),
  evolve: (state: Cart, event: CartEvent): Cart => {
    if (event.type === 'Added') return { ...state, total: state.total + event.data.quantity };
    return { ...state, isOpen: event.type !== 'Confirmed' };
  },
  decide: (command: CartCommand, { total, isOpen }: Cart): CartEvent | CartEvent[] => {
    if (!isOpen) throw new CartClosedError(total);
    if (command.type === 'Confirm') return confirmed(total);
    return command.quantity === 0 ? [] : [added(command.quantity, command.sku)];
  },
};

const add = (quantity: number, sku = 'tea'): CartCommand => ({ type: 'Add', sku, quantity });

const spec = DeciderSpec.for(cart);
const asyncSpec = DeciderSpec.for({
  ...cart,
  decide: async (command: CartCommand, state: Cart): Promise<CartEvent | CartEvent[]> =>
    cart.decide(command, state),
});

function failureOf(fn: () => void): SpecFailedError {
  try {
    fn();
  } catch (error) {
    if (error instanceof SpecFailedError) return error;
    throw error;
  }
  throw new Error('It held.');
}

describe('DeciderSpec', () => {
  it('holds when exactly the expected events happen', () => {
    spec.given(added(2), added(3)).when({ type: 'Confirm' }).then(confirmed(5));
    spec
      .given([added(2), added(3)], added(1))
      .when({ type: 'Confirm' })
      .then([confirmed(6)]);
    spec.given().when(add(1)).then(added(1));
    spec.when(add(1, 'ink')).then(added(1, 'ink'));
    spec([added(2)])
      .when({ type: 'Confirm' })
      .then([confirmed(2)]);
    expect(spec.given(added(2)).when({ type: 'Confirm' }).then(confirmed(2))).toBeUndefined();
  });

  it('decides several commands one after the other', () => {
    const decided = spec.given(added(1)).when(add(2), add(0), { type: 'Confirm' });
    expect(() => decided.then([added(2), confirmed(3)])).not.toThrow();
  });

  it('shows what differs, and nothing else', () => {
    const { message, actual, expected } = failureOf(() =>
      spec
        .given(added(2))
        .when(add(1), { type: 'Confirm' })
        .then([added(1), confirmed(4)]),
    );
    expect(message).toBe(`Other events than expected happened:

- expected
+ actual

  …
    },
    {
      data: {
-       total: 4,
+       total: 3,
      },
      type: 'Confirmed',
    },
  …`);
    expect(actual).toEqual([added(1), confirmed(3)]);
    expect(expected).toEqual([added(1), confirmed(4)]);
  });

  it('shows events that are missing, and those that are too many', () => {
    const missing = failureOf(() => spec.when(add(0)).then(added(1)));
    expect(missing.message).toMatch(/^- +type: 'Added'/m);
    expect(missing.message).not.toMatch(/^\+ +type/m);
    const surplus = failureOf(() => spec.when(add(1)).then([]));
    expect(surplus.message).toMatch(/^\+ +type: 'Added'/m);
    const order = failureOf(() => spec.when(add(1), add(2)).then([added(2), added(1)]));
    expect(order.message).toMatch(/^- +quantity: 2/m);
  });

  it('takes a property that is undefined for absent, and matchers for values', () => {
    const sku = expect.stringMatching(/^t/) as string;
    const decided = spec.when(add(1));
    expect(() => decided.then({ type: 'Added', data: { sku, quantity: 1, id: undefined } })).not.toThrow();
    const { message } = failureOf(() =>
      spec.when(add(1)).then({ type: 'Added', data: { sku: expect.stringMatching(/^x/), quantity: 1 } }),
    );
    expect(message).toMatch(/^- +sku: StringMatching \/\^x\/,\n\+ +sku: 'tea',$/m);
  });

  it('tells values apart that look alike', () => {
    const echo = DeciderSpec.for<null, unknown, Event>({
      decide: (data) => ({ type: 'Echo', data }),
      evolve: (state) => state,
      initialState: () => null,
    });
    const values = [
      1,
      '1',
      1n,
      null,
      {},
      [],
      [1],
      { 0: 1 },
      new Date(0),
      new Date(1),
      new Map([[1, 2]]),
      new Set([1]),
    ];
    for (const [i, a] of values.entries()) {
      for (const [j, b] of values.entries()) {
        const check = (): void => echo.when(a).then({ type: 'Echo', data: structuredClone(b) });
        if (i === j) check();
        else expect(check).toThrow(SpecFailedError);
      }
    }
  });

  it('holds when nothing happens', () => {
    spec.given(added(1)).when(add(0)).thenNothingHappened();
    const { message } = failureOf(() => spec.when(add(1)).thenNothingHappened());
    expect(message).toMatch(/^Nothing was expected to happen, but this did:/);
    expect(message).toMatch(/^\+ +type: 'Added'/m);
  });

  it('holds when the command is refused as expected', () => {
    const refused = spec.given(added(4), confirmed(4)).when(add(1));
    refused.thenThrows();
    refused.thenThrows(CartClosedError);
    refused.thenThrows(Error);
    refused.thenThrows((error) => error.message.includes('closed'));
    refused.thenThrows(CartClosedError, ({ total }) => total === 4);
    expect(() => spec.when({ type: 'Confirm' }, add(1)).thenThrows(CartClosedError)).not.toThrow();
  });

  it('says what was thrown instead', () => {
    const refused = spec.given(confirmed(0)).when(add(1));
    expect(failureOf(() => refused.thenThrows(RangeError))).toMatchObject({
      message: 'RangeError was expected to be thrown. What was thrown is: Error: The cart is closed.',
      cause: expect.any(CartClosedError),
    });
    expect(failureOf(() => refused.thenThrows(CartClosedError, () => false)).message).toMatch(
      /^CartClosedError was expected to be thrown, and to hold\./,
    );
    expect(failureOf(() => refused.thenThrows(() => false)).message).toMatch(/^Something else was expected/);
  });

  it('says what happened instead of an error', () => {
    expect(failureOf(() => spec.when(add(1), { type: 'Confirm' }).thenThrows(CartClosedError)).message).toBe(
      'CartClosedError was expected to be thrown, and nothing was. What happened: Added, Confirmed.',
    );
    expect(failureOf(() => spec.when(add(0)).thenThrows()).message).toBe(
      'An error was expected to be thrown, and nothing was. What happened: nothing.',
    );
  });

  it('lets errors through that nobody expects', () => {
    expect(() => spec.given(confirmed(0)).when(add(1)).then([])).toThrow(CartClosedError);
    const broken = DeciderSpec.for({
      ...cart,
      evolve: (): Cart => {
        throw new TypeError('broken');
      },
    });
    // It is not the command that was refused.
    expect(() => broken.given(opened).when(add(1)).thenThrows()).toThrow(new TypeError('broken'));
  });

  it('is to be awaited when the decider is', async () => {
    await asyncSpec
      .given(added(2))
      .when(add(3), { type: 'Confirm' })
      .then([added(3), confirmed(5)]);
    await asyncSpec.when(add(0)).thenNothingHappened();
    await asyncSpec.given(confirmed(1)).when(add(1)).thenThrows(CartClosedError);
    await expect(asyncSpec.when(add(1)).then(added(2))).rejects.toThrow(
      /^- +quantity: 2,\n\+ +quantity: 1,$/m,
    );
    await expect(asyncSpec.when(add(1)).thenThrows()).rejects.toThrow('What happened: Added.');
    await expect(asyncSpec.given(confirmed(1)).when(add(1)).thenThrows(RangeError)).rejects.toThrow(
      SpecFailedError,
    );
    await expect(asyncSpec.given(confirmed(1)).when(add(1)).then([])).rejects.toThrow(CartClosedError);
  });

  it('does not pass for a test when it is awaited without an end', async () => {
    for (const unfinished of [asyncSpec.when(add(1)), spec.when(add(1))] as unknown[]) {
      await expect(async () => await unfinished).rejects.toThrow('The spec expects nothing.');
    }
  });
});
