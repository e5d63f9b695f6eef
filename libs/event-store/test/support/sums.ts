import { multiStreamProjection, type EventStore, type Projection } from '@nestbox/event-store';
import type { Noted } from './stage.js';

export interface Sum {
  sum: number;
  items: number[];
}

/** How a projection evolves, which changes from one version of the application to the next. */
export interface Code {
  factor: number;
  before?: ((n: number) => unknown) | undefined;
}

/** Keeps what it gets under the remainder modulo 3, in the order in which it got it. */
export function sumsOf(collectionName: string, code: Code): Projection<Noted> {
  return multiStreamProjection<Sum, Noted>({
    collectionName,
    canHandle: ['Noted'],
    getDocumentId: ({ data }) => `rest-${data.n % 3}`,
    evolve: async (document, { data: { n } }) => {
      await code.before?.(n);
      const { sum, items } = document ?? { sum: 0, items: [] };
      return { sum: sum + code.factor * n, items: [...items, n] };
    },
  });
}

/** What the documents must be: each event once, in the order of the log, unless that is not asked for. */
export async function expectFold(
  store: EventStore,
  name: string,
  factor: number,
  { partition = 'emt:default', inOrder = true }: { partition?: string; inOrder?: boolean } = {},
): Promise<void> {
  const arrange = (items: number[]): number[] => (inOrder ? items : items.toSorted((a, b) => a - b));
  const expected = new Map<string, number[]>();
  for await (const { data } of store.readAll<Noted>({ partition, types: ['Noted'] })) {
    const id = `rest-${data.n % 3}`;
    expected.set(id, [...(expected.get(id) ?? []), data.n]);
  }
  const found = await store.collection<Sum>(name, { partition }).find();
  expect(found.map(({ _id, sum, items }) => [_id, sum, arrange(items)])).toEqual(
    [...expected]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([id, items]) => [id, items.reduce((a, b) => a + b, 0) * factor, arrange(items)]),
  );
}
