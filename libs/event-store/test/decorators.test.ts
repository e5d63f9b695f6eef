import { Controller, Inject, Injectable, Module, Scope } from '@nestjs/common';
import { REQUEST } from '@nestjs/core';
import {
  EventStore,
  EventStoreModule,
  Projection,
  Reactor,
  type DocumentProjection,
  type Event,
  type EventStoreModuleOptions,
  type ProjectionContext,
  type ProjectionHandler,
  type ReactorBatchHandler,
  type ReactorContext,
  type ReactorHandler,
  type ReadEvent,
} from '@nestbox/event-store';
import { Postgres } from '@nestbox/postgres';
import { eventually } from '@nestbox/testing';
import { added, confirmed, type CartEvent, type Confirmed, type ItemAdded } from './support/shopping.js';
import { AppDatabase, Apps } from './support/start-app.js';

const apps = new Apps();
let database: AppDatabase;
const log: string[] = [];
beforeAll(async () => {
  database = await AppDatabase.create();
});
beforeEach(() => {
  log.length = 0;
});
afterEach(() => apps.close());
afterAll(() => database.drop());

@Injectable()
class Prices {
  of(product: string): number {
    return product.length;
  }
}

interface CartDetails {
  total: number;
  confirmedBy: string | null;
}

@Projection({ name: 'cart_details', mode: 'inline', events: ['ItemAdded', 'Confirmed'] })
class CartDetailsProjection implements DocumentProjection<CartDetails, CartEvent> {
  constructor(private readonly prices: Prices) {}

  initialState(): CartDetails {
    return { total: 0, confirmedBy: null };
  }

  evolve(cart: CartDetails, { type, data }: ReadEvent<CartEvent>): CartDetails {
    if (type === 'Confirmed') return { ...cart, confirmedBy: data.by };
    return { ...cart, total: cart.total + data.quantity * this.prices.of(data.product) };
  }
}

interface Sales {
  sold: number;
}

@Projection({ name: 'sales', events: ['ItemAdded'], collection: 'product_sales', indexes: ['sold'] })
class ProductSales implements DocumentProjection<Sales, ItemAdded> {
  getDocumentIds({ data }: ReadEvent<ItemAdded>): string[] {
    return [data.product, 'all'];
  }

  evolve(sales: Sales | null, { data }: ReadEvent<ItemAdded>): Sales {
    return { sold: (sales?.sold ?? 0) + data.quantity };
  }
}

@Projection({ name: 'by_customer', mode: 'inline', events: ['Confirmed'] })
class ByCustomer implements DocumentProjection<{ carts: number }, Confirmed> {
  getDocumentId({ data }: ReadEvent<Confirmed>): string | null {
    return data.by === 'nobody' ? null : data.by;
  }

  evolve(customer: { carts: number } | null): { carts: number } {
    return { carts: (customer?.carts ?? 0) + 1 };
  }
}

@Reactor({ id: 'greeter', events: ['Confirmed'] })
class Greeter implements ReactorHandler<Confirmed> {
  constructor(private readonly prices: Prices) {}

  handle({ data }: ReadEvent<Confirmed>, { processorId, attempt }: ReactorContext): void {
    log.push(`${processorId} greets ${data.by}, attempt ${attempt}, price ${this.prices.of(data.by)}`);
  }
}

@Controller('c')
@Reactor({ id: 'counter' })
class Counter implements ReactorBatchHandler<CartEvent> {
  handleBatch(events: readonly ReadEvent<CartEvent>[]): void {
    for (const { type } of events) log.push(`counted ${type}`);
  }
}

@Module({
  providers: [
    Prices,
    CartDetailsProjection,
    ProductSales,
    ByCustomer,
    Greeter,
    { provide: 'alias', useExisting: Greeter },
  ],
  controllers: [Counter],
})
class ShopModule {}

let made = 0;

@Reactor({ id: 'scoped' })
@Injectable({ scope: Scope.REQUEST })
class Scoped implements ReactorHandler {
  private readonly id = ++made;
  constructor(
    private readonly prices: Prices,
    @Inject(REQUEST) private readonly context: ReactorContext,
  ) {}

  handle({ data }: ReadEvent<Event<string, ItemAdded['data']>>, context: ReactorContext): void {
    const same = this.context === context;
    log.push(`${this.id} got ${data.product} for ${this.prices.of(data.product)}, context ${same}`);
  }
}

@Reactor({ id: 'transient' })
@Injectable({ scope: Scope.TRANSIENT })
class Transient implements ReactorBatchHandler {
  handleBatch(events: readonly ReadEvent[]): void {
    log.push(`transient got ${events.length}`);
  }
}

@Projection({ name: 'scoped', mode: 'inline', collection: 'scoped_counts', indexAll: true })
@Injectable({ scope: Scope.REQUEST })
class ScopedCounts implements ProjectionHandler {
  constructor(@Inject(REQUEST) private readonly context: ProjectionContext) {}

  async handle(events: readonly ReadEvent[], context: ProjectionContext): Promise<void> {
    log.push(`projection context ${this.context === context}`);
    await context
      .collection<{ count: number }>('scoped_counts')
      .update('all', (found) => ({ count: (found?.count ?? 0) + events.length }));
  }
}

const backends: [string, () => { options: EventStoreModuleOptions; imports: object[] }][] = [
  ['in memory', () => ({ options: { store: 'memory' }, imports: [] })],
  ['on PostgreSQL', () => ({ options: { schema: `s${++schemas}` }, imports: [database.connect()] })],
];
let schemas = 0;

describe.each(backends)('@Projection and @Reactor %s', (_, setting) => {
  async function start(...modules: object[]) {
    const { options, imports } = setting();
    const app = await apps.start({
      imports: [...imports, EventStoreModule.forRoot(options), ...modules] as never[],
    });
    return { app, store: app.get(EventStore) };
  }

  it('run classes of any module with what they inject, each once', async () => {
    const { store } = await start(ShopModule);
    await store.appendToStream<CartEvent>('cart-1', [added('pear', 2), added('fig'), confirmed('bob')]);
    await store.appendToStream<CartEvent>('cart-2', [confirmed('nobody')]);
    expect(await store.collection<CartDetails>('cart_details').get('cart-1')).toMatchObject({
      total: 11,
      confirmedBy: 'bob',
    });
    expect(await store.collection('by_customer').get('bob')).toMatchObject({ carts: 1 });
    expect(await store.collection('by_customer').count()).toBe(1);
    await eventually(async () => {
      const sales = store.collection<Sales>('product_sales');
      expect(await sales.get('pear')).toMatchObject({ sold: 2 });
      expect(await sales.get('all')).toMatchObject({ sold: 3 });
    });
    await eventually(() => expect(log).toHaveLength(6));
    expect(log.toSorted()).toEqual([
      'counted Confirmed',
      'counted Confirmed',
      'counted ItemAdded',
      'counted ItemAdded',
      'greeter greets bob, attempt 1, price 3',
      'greeter greets nobody, attempt 1, price 6',
    ]);
  });

  it('makes instances for what they handle where the scope asks for it, which can inject the context', async () => {
    const { store } = await start({
      module: class {},
      providers: [Prices, Scoped, Transient, ScopedCounts],
    });
    const before = made;
    await store.appendToStream('cart-1', [added('fig'), added('pear')]);
    expect(log[0]).toBe('projection context true');
    expect(await store.collection('scoped_counts').get('all')).toMatchObject({ count: 2 });
    await eventually(() => expect(log).toHaveLength(4));
    expect(log.slice(1).toSorted()).toEqual([
      `${before + 1} got fig for 3, context true`,
      `${before + 2} got pear for 4, context true`,
      'transient got 2',
    ]);
  });

  it('takes instances that factories and values provide', async () => {
    const { store } = await start({
      module: class {},
      providers: [
        { provide: 'a', useFactory: async (prices: Prices) => new Greeter(prices), inject: [Prices] },
        { provide: 'b', useValue: new ProductSales() },
        Prices,
        { provide: 'c', useValue: null },
      ],
    });
    await store.appendToStream('cart-1', [added('fig'), confirmed()]);
    await eventually(() => expect(log).toEqual(['greeter greets ann, attempt 1, price 3']));
    await eventually(async () =>
      expect(await store.collection('product_sales').get('fig')).toMatchObject({ sold: 1 }),
    );
  });

  it('lets projections be rebuilt by name', async () => {
    const { store } = await start(ShopModule);
    await store.appendToStream<CartEvent>('cart-1', [added('pear', 2)]);
    await store.rebuild('cart_details');
    await store.rebuild('sales');
    expect(await store.collection('cart_details').get('cart-1')).toMatchObject({ total: 8 });
    expect(await store.collection('product_sales').get('pear')).toMatchObject({ sold: 2 });
  });
});

describe('a @Projection with tables of its own', () => {
  @Projection({ name: 'totals', mode: 'async', events: ['ItemAdded'], tables: ['totals'] })
  class Totals implements ProjectionHandler<ItemAdded> {
    async init(context: ProjectionContext): Promise<void> {
      await context.query(
        `create table if not exists ${context.table('totals')} (product text primary key, n int)`,
      );
    }

    async handle(events: readonly ReadEvent<ItemAdded>[], context: ProjectionContext): Promise<void> {
      for (const { data } of events) {
        await context.execute.command(
          `insert into ${context.table('totals')} as t values ($1, $2) on conflict (product) do update set n = t.n + excluded.n`,
          [data.product, data.quantity],
        );
      }
    }

    async truncate(context: ProjectionContext): Promise<void> {
      await context.execute.command(`truncate ${context.table('totals')}`);
    }
  }

  it('creates them when the store starts, and writes them', async () => {
    const app = await apps.start({
      imports: [database.connect(), EventStoreModule.forRoot({ schema: 'with tables' })],
      providers: [Totals],
    });
    const store = app.get(EventStore);
    await store.appendToStream('cart-1', [added('fig', 2), added('fig', 3)]);
    await eventually(async () =>
      expect(await app.get(Postgres).query('select * from "with tables".totals')).toEqual([
        { product: 'fig', n: 5 },
      ]),
    );
  });
});
