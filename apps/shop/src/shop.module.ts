import { ChannelModule } from '@nestbox/channels';
import { EventHubModule } from '@nestbox/event-hub';
import { EventStoreModule } from '@nestbox/event-store';
import { KvModule } from '@nestbox/kv';
import { RedisModule } from '@nestbox/redis';
import { WorkflowModule } from '@nestbox/workflows';
import { type DynamicModule, Module } from '@nestjs/common';
import { APP_FILTER, APP_PIPE } from '@nestjs/core';
import { TerminusModule } from '@nestjs/terminus';
import { CartDetailsProjection } from './carts/cart-details.projection.js';
import { Carts } from './carts/carts.js';
import { CartsController } from './carts/carts.controller.js';
import { CacheModule } from './catalogue/cache.module.js';
import { Catalogue } from './catalogue/catalogue.js';
import { ProductCache } from './catalogue/product-cache.js';
import { ProductsController } from './catalogue/products.controller.js';
import { Carrier } from './checkout/carrier.js';
import { Checkout } from './checkout/checkout.js';
import { Checkouts } from './checkout/checkouts.js';
import { CheckoutsController } from './checkout/checkouts.controller.js';
import { Fulfilment } from './checkout/fulfilment.js';
import { StepNews } from './checkout/step-news.js';
import type { ShopConfig } from './config.js';
import { Customers } from './customers/customers.js';
import { CustomersController } from './customers/customers.controller.js';
import { HealthController } from './health/health.controller.js';
import type { Readiness } from './health/readiness.js';
import { PaymentProvider } from './payments/payment-provider.js';
import { PAYMENT_OPTIONS, READINESS, SHOP_CONFIG } from './tokens.js';
import { ProblemFilter } from './http/problem.filter.js';
import { SchemaPipe } from './http/schema.pipe.js';
import { EventsController } from './live/events.controller.js';
import { LiveController } from './live/live.controller.js';
import { LiveGateway } from './live/live.gateway.js';
import { LiveNews } from './live/live-news.js';
import { NewsReactor } from './live/news.reactor.js';
import { PageController } from './live/page.controller.js';
import { PageFiles } from './live/page-files.js';
import { HISTORY } from './live/topics.js';
import { IdempotentAnswers } from './orders/idempotent-answers.js';
import { OrderDetailsProjection } from './orders/order-details.projection.js';
import { Orders } from './orders/orders.js';
import { OrdersController } from './orders/orders.controller.js';
import { Selling } from './orders/selling.js';
import { ProductSalesProjection } from './sales/product-sales.projection.js';
import { SalesController } from './sales/sales.controller.js';
import { SettingsController } from './settings/settings.controller.js';
import { SettingsStreamController } from './settings/settings-stream.controller.js';
import { SettingsStream } from './settings/settings-stream.js';
import { Settings } from './settings/settings.js';
import { storage } from './storage.js';

/** The table in which settings, answers that may be asked for again, and the payment provider's books are kept. */
export const KV_TABLE = 'shop_kv';

/** The schema of the events of carts and orders, and of the documents that are made of them. */
const EVENTS = 'event_store';

@Module({})
export class ShopModule {
  static forRoot(config: ShopConfig, readiness: Readiness): DynamicModule {
    const { redisUrl } = config;
    // A shop whose Redis is away still starts.
    const redis =
      redisUrl === undefined
        ? []
        : [RedisModule.forRoot({ url: redisUrl, startTimeout: false }), CacheModule.forRoot()];
    return {
      module: ShopModule,
      imports: [
        ...storage(config),
        ...redis,
        KvModule.forRoot({ store: 'postgres', tableName: KV_TABLE }),
        EventStoreModule.forRoot({ schema: EVENTS }),
        WorkflowModule.forRoot({ lease: config.nodeLeaseMs, drainTimeout: config.shutdownTimeoutMs }),
        ...realtime(config),
        TerminusModule.forRoot({ logger: false }),
      ],
      controllers: [
        PageController,
        LiveController,
        EventsController,
        ProductsController,
        CartsController,
        OrdersController,
        CheckoutsController,
        CustomersController,
        SalesController,
        SettingsController,
        SettingsStreamController,
        HealthController,
      ],
      providers: [
        { provide: SHOP_CONFIG, useValue: config },
        { provide: READINESS, useValue: readiness },
        { provide: PAYMENT_OPTIONS, useValue: config.payments },
        { provide: APP_PIPE, useClass: SchemaPipe },
        { provide: APP_FILTER, useClass: ProblemFilter },
        Catalogue,
        ProductCache,
        IdempotentAnswers,
        Selling,
        PaymentProvider,
        Carrier,
        Fulfilment,
        Checkout,
        Checkouts,
        StepNews,
        Customers,
        Orders,
        OrderDetailsProjection,
        Carts,
        CartDetailsProjection,
        ProductSalesProjection,
        PageFiles,
        LiveNews,
        NewsReactor,
        LiveGateway,
        Settings,
        SettingsStream,
      ],
    };
  }
}

/** Who is connected and what they listen to: in Redis where there is one, else in PostgreSQL. */
function realtime({ redisUrl, nodeLeaseMs }: ShopConfig): DynamicModule[] {
  // A shop whose Redis is away when it starts still sells; it becomes live when Redis is back.
  const start =
    redisUrl === undefined
      ? ({ store: 'postgres' } as const)
      : ({ store: 'redis', keyPrefix: 'shop', startTimeout: false } as const);
  return [
    ChannelModule.forRoot({ ...start, lease: nodeLeaseMs }),
    EventHubModule.forRoot({ ...start, topics: { '**': { history: HISTORY } } }),
  ];
}
