/// <reference types="jest" />
import {
  documentProjection,
  multiStreamProjection,
  singleStreamProjection,
  type EventStore,
} from '@nestbox/event-store';
import { evolve, type Sum } from './projections.js';
import { added, numbers, unique, type Added, type Change, type EventStoreSuite } from './subject.js';

const inOrder = (items: readonly number[]): number[] => items.toSorted((a, b) => a - b);

/** Documents of the parts that the numbers of the events name, forwards or backwards. */
const PARTS = ['a', 'b', 'c', 'd'];

function partsOf(n: number): string[] {
  const parts = PARTS.filter((_, i) => (n >> i) % 2 === 0);
  return n % 3 === 0 ? parts.toReversed() : parts;
}

export function projectionRaces(suite: EventStoreSuite): void {
  describe('inline projections of concurrent appends', () => {
    it('count each of 400 events of 50 streams that change one document', async () => {
      const [counts, perStream] = [unique('counts'), unique('streams')];
      const projections = [
        multiStreamProjection<Sum, Change>({ collectionName: counts, getDocumentId: () => 'all', evolve }),
        singleStreamProjection<Sum, Change>({ collectionName: perStream, evolve }),
      ];
      const { store, elsewhere } = await suite.scene({ projections });
      const stores = [store, await elsewhere({ projections })];
      const streams = numbers(50).map(() => unique('cart'));
      await Promise.all(
        numbers(400).map((i) => stores[i % 2]!.appendToStream(streams[i % 50]!, [added(i + 1)])),
      );
      const document = await store.collection<Sum>(counts).get('all');
      expect(inOrder(document!.items)).toEqual(numbers(400).map((i) => i + 1));
      expect(document!.sum).toBe((400 * 401) / 2);
      const documents = await store.collection<Sum>(perStream).getMany(streams);
      for (const [i, found] of documents.entries()) {
        expect(inOrder(found!.items)).toEqual(numbers(8).map((round) => round * 50 + i + 1));
      }
    });

    it('see the events of a stream in its order, whoever appends them', async () => {
      const name = unique('sums');
      const projections = [singleStreamProjection<Sum, Change>({ collectionName: name, evolve })];
      const { store, elsewhere } = await suite.scene({ projections });
      const stores = [store, await elsewhere({ projections })];
      const stream = unique('cart');
      await Promise.all(numbers(60).map((i) => stores[i % 2]!.appendToStream(stream, [added(i + 1)])));
      const { events } = await store.readStream<Change>(stream);
      const document = await store.collection<Sum>(name).get(stream);
      expect(document!.items).toEqual(events.map(({ data }) => data.n));
    });

    it('take documents in different orders without a deadlock', async () => {
      const name = unique('parts');
      const projections = [
        multiStreamProjection<Sum, Change>({
          collectionName: name,
          getDocumentIds: ({ data }) => partsOf(data.n),
          evolve,
        }),
      ];
      const { store, elsewhere } = await suite.scene({ projections });
      await race([store, await elsewhere({ projections })], name);
    });

    it('take documents that a handler reads at once without a deadlock', async () => {
      const name = unique('parts');
      const projections = [
        documentProjection<Added>({
          name: unique('handler'),
          collections: [name],
          handle: async (events, context) => {
            const documents = context.collection<Sum>(name);
            for (const event of events) {
              const ids = partsOf(event.data.n);
              const found = await documents.getMany(ids);
              for (const [i, id] of ids.entries()) await documents.set(id, evolve(found[i] ?? null, event)!);
            }
          },
        }),
      ];
      const { store, elsewhere } = await suite.scene({ projections });
      await race([store, await elsewhere({ projections })], name);
    });

    it('of two collections lock them in one order, however they were registered', async () => {
      const names = [unique('sums'), unique('sums')];
      const projections = names.map((collectionName) =>
        multiStreamProjection<Sum, Change>({ collectionName, getDocumentId: () => 'all', evolve }),
      );
      const { store, elsewhere } = await suite.scene({ projections });
      const stores = [store, await elsewhere({ projections: projections.toReversed() })];
      await Promise.all(
        numbers(80).map((i) => stores[i % 2]!.appendToStream(unique('cart'), [added(i + 1)])),
      );
      for (const name of names) {
        const document = await store.collection<Sum>(name).get('all');
        expect(inOrder(document!.items)).toEqual(numbers(80).map((i) => i + 1));
      }
    });

    it('count what sessions append, too', async () => {
      const name = unique('sums');
      const projections = [
        multiStreamProjection<Sum, Change>({ collectionName: name, getDocumentId: () => 'all', evolve }),
      ];
      const { store, elsewhere } = await suite.scene({ projections });
      const stores = [store, await elsewhere({ projections })];
      await Promise.all(
        numbers(40).map(async (i) => {
          const its = stores[i % 2]!;
          const append = () => its.appendToStream(unique('cart'), [added(i + 1)]);
          await (i % 4 < 2 ? its.withSession(append) : append());
        }),
      );
      const document = await store.collection<Sum>(name).get('all');
      expect(inOrder(document!.items)).toEqual(numbers(40).map((i) => i + 1));
    });
  });
}

/** Events of many streams that change some of the same documents each. */
async function race(stores: EventStore[], name: string): Promise<void> {
  await Promise.all(numbers(96).map((i) => stores[i % 2]!.appendToStream(unique('cart'), [added(i + 1)])));
  const documents = await stores[0]!.collection<Sum>(name).getMany(PARTS);
  for (const [i, part] of PARTS.entries()) {
    const expected = numbers(96)
      .map((each) => each + 1)
      .filter((n) => partsOf(n).includes(part));
    expect(inOrder(documents[i]!.items)).toEqual(expected);
  }
}
