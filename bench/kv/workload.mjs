import { isDeepStrictEqual } from 'node:util';

/** How many keys each side writes and reads. */
export const KEYS = 5_000;

export function keyOf(i) {
  return `product:${i % KEYS}`;
}

/** About 200 bytes of JSON, the same for the same key, so that all sides must end up with the same data. */
export function valueOf(i) {
  const id = i % KEYS;
  return {
    id,
    name: `Product number ${id}`,
    priceCents: (id * 37) % 100_000,
    tags: ['garden', 'summer', `batch-${id % 17}`],
    stock: { warehouse: id % 90, shop: id % 11 },
    description: 'A plain thing that does what it says and lasts for years.',
  };
}

/** Writes every key once, so that reads find something and updates update. */
export async function fill(side) {
  for (let start = 0; start < KEYS; start += 500) {
    await Promise.all(Array.from({ length: 500 }, (_, i) => side.set(start + i)));
  }
}

/** The keys of which a side does not hold the expected value. */
export async function findDifferences(side) {
  const wrong = [];
  for (let start = 0; start < KEYS; start += 500) {
    await Promise.all(
      Array.from({ length: 500 }, async (_, i) => {
        const value = await side.get(start + i);
        if (!isDeepStrictEqual(value, valueOf(start + i))) wrong.push(keyOf(start + i));
      }),
    );
  }
  return wrong;
}
