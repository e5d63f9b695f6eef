import { createEventStore, singleStreamProjection } from '@nestbox/event-store';
import { ask } from './databases.mjs';
import { ITEM_ADDED, addToCart, emptyCart } from './workload.mjs';

const BASKETS = 'baskets';

/** A store at its defaults, and others beside it as other instances of an application would have them. */
export async function openNestbox(url) {
  const plain = createEventStore(url);
  const projecting = createEventStore(url, {
    projections: [{ type: 'inline', projection: summary(BASKETS) }],
  });
  await plain.init();
  await projecting.init();
  return {
    name: 'nestbox',
    url,
    plain,
    projecting,
    countEvents: async () => Number((await ask(url, `select count(*) from event_store.emt_messages`)).count),
    countProjected: (collection = BASKETS) => countProjected(projecting, collection),
    catchUp: (options) => catchUp(plain, options),
    listen: (handler) => listen(url, handler),
    async close() {
      await projecting.close();
      await plain.close();
    },
  };
}

function summary(collectionName, onEvent = () => {}) {
  return singleStreamProjection({
    collectionName,
    canHandle: [ITEM_ADDED],
    evolve(cart, event) {
      onEvent();
      return addToCart(cart, event);
    },
    initialState: emptyCart,
  });
}

async function countProjected(store, collection) {
  let sum = 0;
  for await (const { events } of store.collection(collection).all()) sum += events;
  return sum;
}

/** The time from start until all events are handled, and the checkpoint says so, in ms. */
async function catchUp(store, { kind, name }) {
  const consumer = store.consumer();
  let handled = 0;
  const count = () => {
    handled++;
  };
  if (kind === 'reactor') consumer.reactor({ processorId: name, eachMessage: count });
  else consumer.projector({ projection: summary(name, count) });
  const start = performance.now();
  const running = consumer.start();
  await consumer.whenCaughtUp();
  const ms = performance.now() - start;
  await consumer.stop();
  await running;
  return { ms, handled };
}

/** By a store of its own, which hears of appends only by way of the database. */
async function listen(url, handler) {
  const store = createEventStore(url);
  const consumer = store.consumer();
  consumer.reactor({ processorId: 'listener', startFrom: 'END', eachMessage: handler });
  const running = consumer.start();
  await consumer.whenCaughtUp();
  return async () => {
    await consumer.stop();
    await running;
    await store.close();
  };
}
