import { EntitySchema } from 'typeorm';

/** What the cases insert. The key is the database's, so that `save` has nothing to look for. */
export const ORDER = new EntitySchema({
  name: 'Order',
  tableName: 'shop_order',
  columns: {
    id: { type: 'bigint', primary: true, generated: 'identity', generatedIdentity: 'BY DEFAULT' },
    customer: { type: 'text' },
    status: { type: 'text' },
    totalCents: { type: 'integer' },
    items: { type: 'jsonb' },
    createdAt: { type: 'timestamptz', createDate: true },
  },
});

/** What is read, changed and written. */
export const ACCOUNT = new EntitySchema({
  name: 'Account',
  tableName: 'account',
  columns: {
    id: { type: 'integer', primary: true },
    owner: { type: 'text' },
    balance: { type: 'integer' },
  },
});

/** More than callers can be apart, so that no two calls wait for one row. */
export const ACCOUNTS = 1_000;

/** About 200 bytes. */
export function newOrder(i) {
  return {
    customer: `customer-${i % 4_001}`,
    status: 'placed',
    totalCents: 100 + ((i * 37) % 9_900),
    items: [
      { productId: `product-${i % 997}`, name: `Product number ${i % 997}`, quantity: 1 + (i % 5) },
      { productId: `product-${i % 499}`, name: `Product number ${i % 499}`, quantity: 1 },
    ],
  };
}

export function accountOf(i) {
  return 1 + (i % ACCOUNTS);
}

export function newAccounts() {
  return Array.from({ length: ACCOUNTS }, (_, i) => ({ id: accountOf(i), owner: `owner-${i}`, balance: 0 }));
}
