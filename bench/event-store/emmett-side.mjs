import { endAllPools } from '@event-driven-io/dumbo';
import { projections } from '@event-driven-io/emmett';
import { getPostgreSQLEventStore, pongoSingleStreamProjection } from '@event-driven-io/emmett-postgresql';
import { ask } from './databases.mjs';
import { ITEM_ADDED, addToCart, emptyCart } from './workload.mjs';

const BASKETS = 'baskets';

/**
 * Emmett as its documentation sets it up: one store for the application, with its own pool (of ten connections, pg's
 * default), and everything else at
 * its default.
 */
export async function openEmmett(url) {
  const plain = getPostgreSQLEventStore(url);
  const projecting = getPostgreSQLEventStore(url, { projections: projections.inline([summary(BASKETS)]) });
  await plain.schema.migrate();
  await projecting.schema.migrate();
  return {
    name: 'emmett',
    url,
    plain,
    projecting,
    countEvents: async () => Number((await ask(url, `select count(*) from emt_messages`)).count),
    countProjected: (collection = BASKETS) => countProjected(url, collection),
    catchUp: (options) => catchUp(plain, options),
    listen: (handler) => listen(plain, handler),
    // The stores share a pool, whose use is counted; what is left of it must not outlive the database.
    close: () => endAllPools(),
  };
}

function summary(collectionName) {
  return pongoSingleStreamProjection({
    collectionName,
    canHandle: [ITEM_ADDED],
    evolve: addToCart,
    initialState: emptyCart,
  });
}

async function countProjected(url, collection) {
  const { sum } = await ask(url, `select sum((data ->> 'events')::bigint) from "${collection}"`);
  return Number(sum);
}

/**
 * The time from start to the last of so many events, in ms. A transaction of Emmett's may still be under way then, which
 * favours it.
 */
async function catchUp(store, { kind, name, events }) {
  const consumer = store.consumer();
  let handled = 0;
  let running;
  const done = new Promise((resolve, reject) => {
    const count = () => {
      if (++handled === events) resolve(performance.now());
    };
    if (kind === 'reactor') consumer.reactor({ processorId: name, eachMessage: count });
    else consumer.projector({ projection: counting(summary(name), count) });
    running = () => consumer.start().catch(reject);
  });
  const start = performance.now();
  void running();
  const ms = (await done) - start;
  await consumer.stop();
  return { ms, handled };
}

function counting(projection, count) {
  return {
    ...projection,
    async handle(events, context) {
      await projection.handle(events, context);
      count();
    },
  };
}

async function listen(store, handler) {
  const consumer = store.consumer();
  consumer.reactor({ processorId: 'listener', startFrom: 'END', eachMessage: handler });
  void consumer.start();
  return () => consumer.stop();
}
