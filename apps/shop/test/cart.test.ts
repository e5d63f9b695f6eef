import { DeciderSpec } from '@nestbox/testing/event-store';
import * as fc from 'fast-check';
import type { CartEvent } from '../src/carts/cart.events.js';
import { type Cart, type CartCommand, decide, evolve, MAX_LINES, MAX_QUANTITY } from '../src/carts/cart.js';
import { ProblemError } from '../src/http/problem.js';
import { totalOf } from '../src/orders/line.js';

const opened: CartEvent = { type: 'ShoppingCartOpened', data: {} };
const initialState = (): Cart => evolve(null, opened);
/** What a cart makes of commands after such events. */
const expectAfter = DeciderSpec.for<Cart, CartCommand, CartEvent>({ decide, evolve, initialState });

const pen = { productId: 'pen', name: 'Pen', quantity: 2, unitPrice: 250 };
const penAdded: CartEvent = { type: 'ProductItemAdded', data: pen };
const add = (data: Partial<typeof pen>): CartCommand => ({
  type: 'AddProductItem',
  data: { ...pen, ...data },
});
const remove = (productId: string, quantity?: number): CartCommand => ({
  type: 'RemoveProductItem',
  data: { productId, quantity },
});
const confirmation = { orderId: 'order', confirmedAt: '2026-01-01T00:00:00.000Z' };
const confirm: CartCommand = { type: 'Confirm', data: confirmation };
const confirmed: CartEvent = { type: 'ShoppingCartConfirmed', data: confirmation };

const refusedWith = (status: number) => (error: Error) =>
  error instanceof ProblemError && error.problem.status === status;

describe('A cart that is open', () => {
  it('takes items', () => {
    expectAfter().when(add({})).then(penAdded);
    expectAfter(penAdded)
      .when(add({ quantity: MAX_QUANTITY - 2 }))
      .then({
        type: 'ProductItemAdded',
        data: { ...pen, quantity: MAX_QUANTITY - 2 },
      });
  });

  it('gives back as many as are asked for, or all', () => {
    const removed = (quantity: number): CartEvent => ({
      type: 'ProductItemRemoved',
      data: { productId: 'pen', quantity },
    });
    expectAfter(penAdded).when(remove('pen', 1)).then(removed(1));
    expectAfter(penAdded, penAdded).when(remove('pen')).then(removed(4));
  });

  it('gives back nothing that is not there', () => {
    expectAfter().when(remove('pen', 1)).thenThrows(refusedWith(404));
    expectAfter(penAdded).when(remove('ink')).thenThrows(refusedWith(404));
    expectAfter(penAdded).when(remove('pen', 3)).thenThrows(refusedWith(409));
    expectAfter(penAdded).when(remove('pen'), remove('pen')).thenThrows(refusedWith(404));
  });

  it('is full at some point', () => {
    expectAfter(penAdded)
      .when(add({ quantity: MAX_QUANTITY - 1 }))
      .thenThrows(refusedWith(409));
    const lines = Array.from({ length: MAX_LINES }, (_, i): CartEvent => {
      return { type: 'ProductItemAdded', data: { ...pen, productId: `pen-${i}` } };
    });
    expectAfter(lines).when(add({})).thenThrows(refusedWith(409));
    expectAfter(lines)
      .when(add({ productId: 'pen-0' }))
      .then({ type: 'ProductItemAdded', data: { ...pen, productId: 'pen-0' } });
  });

  it('is confirmed, unless it is empty', () => {
    expectAfter(penAdded).when(confirm).then(confirmed);
    expectAfter().when(confirm).thenThrows(refusedWith(409));
  });
});

describe('A cart that is confirmed', () => {
  it('does not change, and may be confirmed again', () => {
    expectAfter(penAdded, confirmed).when(add({})).thenThrows(refusedWith(409));
    expectAfter(penAdded, confirmed).when(remove('pen')).thenThrows(refusedWith(409));
    expectAfter(penAdded, confirmed).when(confirm).thenNothingHappened();
  });
});

describe('What a cart has become', () => {
  it('has the quantities that its events add up to, and a version for each of them', () => {
    const product = fc.constantFrom('pen', 'ink', 'cup');
    const quantity = fc.integer({ min: 1, max: 5 });
    const command = fc.oneof(
      fc
        .record({ productId: product, quantity, unitPrice: fc.nat(1000) })
        .map((data): CartCommand => add({ ...data, name: data.productId })),
      fc.record({ productId: product, quantity }).map((data) => remove(data.productId, data.quantity)),
    );
    fc.assert(
      fc.property(fc.array(command, { maxLength: 40 }), (commands) => {
        const quantities = new Map<string, number>();
        let state = initialState();
        let version = 1;
        for (const each of commands) {
          const { productId } = each.data as { productId: string };
          const before = quantities.get(productId) ?? 0;
          const { quantity: asked } = each.data as { quantity: number };
          const after = each.type === 'AddProductItem' ? before + asked : before - asked;
          if (after < 0) {
            expect(() => decide(each, state)).toThrow(ProblemError);
            continue;
          }
          const events = decide(each, state);
          state = events.reduce<Cart>(evolve, state);
          version += events.length;
          quantities.set(productId, after);
        }
        const expected = new Map([...quantities].filter(([, left]) => left > 0));
        expect(new Map(state.items.map((item) => [item.productId, item.quantity]))).toEqual(expected);
        expect(state.version).toBe(version);
        expect(totalOf(state.items)).toBe(
          state.items.reduce((sum, item) => sum + item.quantity * item.unitPrice, 0),
        );
      }),
    );
  });
});
