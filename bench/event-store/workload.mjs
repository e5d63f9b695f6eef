/** How many streams appends go to, in turns: more than callers can be apart, so that no two calls meet in a stream. */
const STREAMS = 5_000;
/** Streams that are read, and the events of each. */
export const READ_STREAMS = 100;
export const READ_EVENTS = 100;
export const LONG_STREAM = 'ledger-1';
export const LONG_EVENTS = 10_000;

export const ITEM_ADDED = 'ProductItemAdded';

/** About 200 bytes of JSON. */
export function itemAdded(i) {
  return {
    type: ITEM_ADDED,
    data: {
      productItem: {
        productId: `product-${i % 997}`,
        name: `Product number ${i % 997}`,
        quantity: 1 + (i % 5),
        unitPriceCents: 100 + ((i * 37) % 9_900),
      },
      addedBy: `customer-${i % 4_001}`,
      note: 'A plain thing that does what it says and lasts for years.',
    },
  };
}

export function itemsAdded(first, count) {
  return Array.from({ length: count }, (_, i) => itemAdded(first + i));
}

/** What carts are folded to: by aggregates, and by the projections, whose documents it makes. */
export const emptyCart = () => ({ events: 0, items: 0, totalCents: 0 });

export function addToCart(cart, { data: { productItem } }) {
  return {
    ...cart,
    events: cart.events + 1,
    items: cart.items + productItem.quantity,
    totalCents: cart.totalCents + productItem.quantity * productItem.unitPriceCents,
  };
}

/**
 * The operations of a side, in terms of what both stores have in common, and how many events they must have left.
 *
 * @param plain a store without projections
 * @param projecting a store in the same database with one inline projection
 */
export function operationsOf({ plain, projecting }) {
  const written = { events: 0, projected: 0 };
  return {
    written,
    async 'append 1'(i) {
      await plain.appendToStream(`cart-${i % STREAMS}`, [itemAdded(i)]);
      written.events++;
    },
    async 'append 10'(i) {
      await plain.appendToStream(`order-${i % STREAMS}`, itemsAdded(i, 10));
      written.events += 10;
    },
    async read(i) {
      const { events } = await plain.readStream(`page-${i % READ_STREAMS}`);
      if (events.length !== READ_EVENTS) throw new Error(`${events.length} events instead of ${READ_EVENTS}`);
    },
    async aggregate() {
      const { state } = await plain.aggregateStream(LONG_STREAM, {
        evolve: addToCart,
        initialState: emptyCart,
      });
      if (state.events !== LONG_EVENTS) throw new Error(`${state.events} events instead of ${LONG_EVENTS}`);
    },
    async project(i) {
      await projecting.appendToStream(`basket-${i % STREAMS}`, [itemAdded(i)]);
      written.projected++;
    },
    /** What is read. */
    async fill() {
      for (let i = 0; i < READ_STREAMS; i++) {
        await plain.appendToStream(`page-${i}`, itemsAdded(i, READ_EVENTS));
      }
      for (let i = 0; i < LONG_EVENTS; i += 1_000) {
        await plain.appendToStream(LONG_STREAM, itemsAdded(i, 1_000));
      }
      written.events += READ_STREAMS * READ_EVENTS + LONG_EVENTS;
    },
  };
}
