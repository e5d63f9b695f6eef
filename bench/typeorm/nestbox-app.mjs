import 'reflect-metadata';
import { ChannelModule } from '@nestbox/channels';
import { EventHubModule, EventHubService } from '@nestbox/event-hub';
import { EventStore, EventStoreModule, Projection } from '@nestbox/event-store';
import { KeyValueStore, KvModule } from '@nestbox/kv';
import { Postgres, PostgresModule } from '@nestbox/postgres';
import { TypeOrmTransactions, TypeOrmTransactionsModule } from '@nestbox/typeorm';
import { Workflow, WorkflowModule, WorkflowService } from '@nestbox/workflows';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { TypeOrmModule } from '@nestjs/typeorm';
import { ITEM_ADDED, addToCart, emptyCart, itemAdded } from '../event-store/workload.mjs';
import { ORDER, newOrder } from './entities.mjs';
import { answerOf, keyOf, streamOf } from './everything-workload.mjs';

const BASKETS = 'baskets';
const TOPIC = 'orders';

class Baskets {
  getDocumentId({ metadata }) {
    return metadata.streamName;
  }

  evolve(basket, event) {
    return addToCart(basket ?? emptyCart(), event);
  }
}
Projection({ name: BASKETS, mode: 'inline', events: [ITEM_ADDED] })(Baskets);

class Fulfil {
  async run(ctx, { i }) {
    return ctx.step('send', async () => i);
  }
}
Workflow({ name: 'bench.fulfil' })(Fulfil);

/**
 * An application with all modules on one PostgreSQL and one pool of ten connections, everything at its default. It
 * starts workflows for others to run.
 */
export async function openNestbox(url) {
  class AppModule {}
  Module({
    imports: [
      PostgresModule.forRoot({ url }),
      TypeOrmModule.forRoot({ type: 'postgres', url, entities: [ORDER], synchronize: true }),
      TypeOrmTransactionsModule.forRoot(),
      KvModule.forRoot({ store: 'postgres' }),
      EventStoreModule.forRoot({}),
      WorkflowModule.forRoot({ worker: false }),
      ChannelModule.forRoot({ store: 'postgres' }),
      EventHubModule.forRoot({ store: 'postgres' }),
    ],
    providers: [Baskets],
  })(AppModule);
  const app = await NestFactory.createApplicationContext(AppModule, { logger: ['error', 'warn'] });
  const transactions = app.get(TypeOrmTransactions);
  const events = app.get(EventStore);
  const kv = app.get(KeyValueStore);
  const workflows = app.get(WorkflowService);
  const hub = app.get(EventHubService);
  const postgres = app.get(Postgres);
  const place = (i) =>
    transactions.run(async (manager) => {
      await manager.save(ORDER, newOrder(i));
      await events.appendToStream(streamOf(i), [itemAdded(i)]);
      await kv.set(keyOf(i), answerOf(i));
      await workflows.start(Fulfil, { i });
      await hub.publish(TOPIC, { i });
    });
  let heard = 0;
  hub.on(TOPIC, () => {
    heard++;
  });
  return {
    name: 'nestbox',
    url,
    operations: { place },
    async count() {
      const [row] = await postgres.query(`
        select (select count(*) from shop_order)::int as orders,
               (select count(*) from event_store.emt_messages)::int as events,
               (select count(*) from kv_store)::int as keys,
               (select count(*) from workflows.workflow_runs)::int as runs`);
      let projected = 0;
      for await (const basket of events.collection(BASKETS).all()) projected += basket.events;
      return { ...row, projected, heard };
    },
    close: () => app.close(),
  };
}
