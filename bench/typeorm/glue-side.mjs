import { endAllPools } from '@event-driven-io/dumbo';
import { projections } from '@event-driven-io/emmett';
import { getPostgreSQLEventStore, pongoSingleStreamProjection } from '@event-driven-io/emmett-postgresql';
import KeyvPostgres from '@keyv/postgres';
import Keyv from 'keyv';
import { ask } from '../event-store/databases.mjs';
import { ITEM_ADDED, addToCart, emptyCart, itemAdded } from '../event-store/workload.mjs';
import { dbos } from '../workflows/dbos-side.mjs';
import { ORDER, newOrder } from './entities.mjs';
import { answerOf, keyOf, streamOf } from './everything-workload.mjs';
import { openDataSource } from './plain-sides.mjs';

const BASKETS = 'baskets';

/**
 * The same put together from four libraries, each as its documentation sets it up and with a pool of its own, of ten
 * connections each. They commit one after the other; what comes before a failure stays. Nothing is published.
 */
export async function openGlue(url) {
  const dataSource = await openDataSource(url, [ORDER]);
  await dataSource.synchronize();
  const events = getPostgreSQLEventStore(url, { projections: projections.inline([baskets()]) });
  await events.schema.migrate();
  const kv = new Keyv({ store: new KeyvPostgres({ uri: url }), throwOnErrors: true });
  const workflows = await dbos.open(url, { works: false });
  const place = async (i) => {
    await dataSource.transaction((manager) => manager.save(ORDER, newOrder(i)));
    await events.appendToStream(streamOf(i), [itemAdded(i)]);
    await kv.set(keyOf(i), answerOf(i));
    await workflows.enqueue({ i });
  };
  return {
    name: 'four libraries',
    url,
    operations: { place },
    count: () =>
      ask(
        url,
        `select (select count(*) from shop_order)::int as orders,
                (select count(*) from emt_messages)::int as events,
                (select count(*) from keyv)::int as keys,
                (select count(*) from ${workflows.table})::int as runs,
                (select coalesce(sum((data ->> 'events')::bigint), 0) from ${BASKETS})::int as projected`,
      ),
    async close() {
      await workflows.close();
      await kv.disconnect();
      await endAllPools();
      await dataSource.destroy();
    },
  };
}

function baskets() {
  return pongoSingleStreamProjection({
    collectionName: BASKETS,
    canHandle: [ITEM_ADDED],
    evolve: addToCart,
    initialState: emptyCart,
  });
}
