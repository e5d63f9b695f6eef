import type { EventHubService, HubMessage } from '@nestbox/event-hub';

interface Stock {
  id: string;
  left: number;
}

interface Topics {
  orders: { total: number };
  [stock: `stock.${string}`]: Stock;
}

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

/** Fails to compile unless the types are the same. */
function same<A, B>(isSame: Same<A, B>): Same<A, B> {
  return isSame;
}

/** Compiled, never called. */
async function typed(hub: EventHubService<Topics>, open: EventHubService): Promise<void> {
  await hub.publish('orders', { total: 1 });
  await hub.publish('stock.7', { id: '7', left: 3 });
  // @ts-expect-error: not the data of the topic
  await hub.publish('orders', { total: '1' });
  // @ts-expect-error: no such topic
  await hub.publish('order', { total: 1 });
  // @ts-expect-error: no such topic
  await hub.subscribe('order', 'a');
  const { missed } = await hub.subscribe('stock.7', 'a');
  same<typeof missed, HubMessage<Stock>[]>(true);
  const kept = await hub.history('orders');
  same<typeof kept, HubMessage<{ total: number }>[]>(true);
  hub.on('orders', (data) => same<typeof data, { total: number }>(true));
  hub.on('stock.7', (data) => same<typeof data, Stock>(true));
  hub.on('stock.*', (data) => same<typeof data, unknown>(true));
  hub.on('**', (data, { topic }) => {
    same<typeof data, unknown>(true);
    same<typeof topic, string>(true);
  });
  // @ts-expect-error: no such topic
  hub.on('order', () => undefined);
  await open.publish('anything', { at: 'all' });
  open.on('anything', (data) => same<typeof data, unknown>(true));
}

describe('typed topics', () => {
  it('are checked by the compiler', () => {
    expect(typeof typed).toBe('function');
  });
});
