import {
  documentProjection,
  MemoryEventStoreBackend,
  multiStreamProjection,
  ProjectionFailedError,
  typedCodec,
  type Event,
  type ReadEvent,
} from '@nestbox/event-store';
import {
  documentDoesNotExist,
  documentExists,
  documentsAre,
  eventsInStream,
  ProjectionSpec,
} from '@nestbox/testing/event-store';
import {
  added,
  cart1,
  carts,
  confirmed,
  emptied,
  expectToHold,
  failureOf,
  inCart1,
  NoQuantityError,
  type Added,
  type Cart,
} from './support/carts.js';

const spec = ProjectionSpec.for({ projection: carts });

describe('ProjectionSpec', () => {
  it('holds when the documents are exactly as expected', async () => {
    await expectToHold(spec.given(inCart1).then([cart1]));
    await expectToHold(spec.when(inCart1).then([cart1]));
    await expectToHold(
      spec
        .given(eventsInStream('cart-1', [added('tea', 2)]))
        .when(
          eventsInStream('cart-1', [added('ink', 1)]),
          eventsInStream('cart-2', [added('ink', 1), emptied]),
        )
        .then([cart1]),
    );
    await expectToHold(spec([inCart1, [eventsInStream('cart-1', [emptied])]]).then([]));
    await expectToHold(spec.then([]));
  });

  it('puts events that name no stream into stream-1', async () => {
    await expectToHold(
      spec
        .given(added('tea', 1))
        .when([added('tea', 2)])
        .then(documentExists('stream-1', { matching: { total: { quantity: 3 } } })),
    );
  });

  it('begins anew each time', async () => {
    const scenario = spec.given(inCart1).when(inCart1);
    for (let i = 0; i < 2; i++)
      await expectToHold(scenario.then(documentExists('cart-1', { matching: { total: { lines: 4 } } })));
    await expectToHold(spec.then([]));
  });

  it('shows what differs, and nothing else', async () => {
    const other = { ...cart1, total: { quantity: 3, lines: 1 } };
    const { message } = await failureOf(spec.given(inCart1).then([other]));
    expect(message).toBe(`The documents in "carts" are not as expected:

- expected
+ actual

  …
        },
      ],
      total: {
-       lines: 1,
+       lines: 2,
        quantity: 3,
      },
    },
  …`);
  });

  it('shows documents that are missing, and those that nobody expected', async () => {
    const events = [inCart1, eventsInStream('cart-3', [added('tea', 1)])];
    const { message } = await failureOf(spec.given(events).then([{ ...cart1, _id: 'cart-2' }, cart1]));
    expect(message).toMatch(/^- +_id: 'cart-2'/m);
    expect(message).toMatch(/^\+ +_id: 'cart-3'/m);
    expect(message).not.toMatch(/^[-+] +_id: 'cart-1'/m);
  });

  it('takes documents in any order, and matchers for values', async () => {
    const both = [eventsInStream('cart-2', inCart1.events), inCart1];
    await expectToHold(
      spec.given(both).then([
        { ...cart1, _id: 'cart-2' },
        { ...cart1, items: expect.any(Array) },
      ]),
    );
    await expectToHold(spec.given(both).then([cart1, { ...cart1, _id: 'cart-2' }]));
  });

  it('holds when a document has what is expected, at least', async () => {
    const given = spec.given(inCart1);
    await given.then(documentExists('cart-1'));
    await given.then(
      documentExists('cart-1', { in: 'carts', matching: { total: { lines: 2 }, items: cart1.items } }),
    );
    await given.then([documentExists('cart-1'), documentDoesNotExist('cart-2')]);
    const { message, actual } = await failureOf(
      given.then(documentExists('cart-1', { matching: { total: { lines: 3 }, confirmedAt: 'today' } })),
    );
    expect(message).toMatch(/^Document "cart-1" in "carts" is not as expected:/);
    expect(message.match(/^[-+] .*$/gm)).toEqual([
      '- expected',
      '+ actual',
      "-   confirmedAt: 'today',",
      '-     lines: 3,',
      '+     lines: 2,',
    ]);
    expect(actual).toEqual(cart1);
  });

  it('wants exactly the items of a list', async () => {
    const given = spec.given(inCart1);
    for (const items of [
      [],
      cart1.items.slice(1),
      cart1.items.toReversed(),
      [...cart1.items, cart1.items[0]],
    ]) {
      await failureOf(given.then(documentExists('cart-1', { matching: { items } })));
    }
    const some = { items: [{ sku: 'tea' }, { quantity: 1 }] };
    await expectToHold(given.then(documentExists('cart-1', { matching: some })));
  });

  it('says which documents there are when one is missing', async () => {
    const check = documentExists('cart-9', { matching: { total: 1 } });
    expect((await failureOf(spec.given(inCart1).then(check))).message).toBe(
      'There is no document "cart-9" in "carts", which has "cart-1".',
    );
    expect((await failureOf(spec.then(check))).message).toBe(
      'There is no document "cart-9" in "carts", which has none.',
    );
  });

  it('holds when a document is not there', async () => {
    await spec
      .given(inCart1)
      .when(eventsInStream('cart-1', [emptied]))
      .then(documentDoesNotExist('cart-1'));
    const { message } = await failureOf(spec.given(inCart1).then(documentDoesNotExist('cart-1')));
    expect(message).toMatch(/^There is a document "cart-1" in "carts", and none was expected:/);
    expect(message).toMatch(/^\+ +_id: 'cart-1'/m);
  });

  it('takes checks of any kind', async () => {
    let seen: unknown;
    await spec.given(inCart1).then(async ({ collection, eventStore }) => {
      const { events } = await eventStore.readStream('cart-1');
      seen = [
        await collection<Cart>().count(),
        await collection('carts').find({ 'total.lines': 2 }),
        events.length,
      ];
    });
    expect(seen).toEqual([1, [cart1], 2]);
    await spec.given(inCart1).then(() => true);
    expect((await failureOf(spec.then(async () => false))).message).toBe(
      'A check of the spec returned false.',
    );
    await expect(spec.then(() => expect(1).toBe(2))).rejects.toThrow('toBe');
  });

  it('gives events the date that they are said to have', async () => {
    const createdAt = new Date('2026-01-31T12:00:00.000Z');
    const confirmedThen = { ...confirmed, metadata: { createdAt } };
    await expectToHold(
      spec
        .given(inCart1)
        .when(eventsInStream('cart-1', [confirmedThen]))
        .then([{ ...cart1, confirmedAt: createdAt.toISOString() }]),
    );
  });

  it('gives events the metadata and the id that they have', async () => {
    const seen: unknown[] = [];
    const projection = documentProjection<Added>({
      name: 'seen',
      collections: ['seen'],
      handle: (events) => {
        for (const { metadata } of events)
          seen.push([metadata.messageId, metadata.by, metadata.streamPosition]);
      },
    });
    const event: Added = { ...added('tea', 1), messageId: 'm-1', metadata: { by: 'ann' } };
    await ProjectionSpec.for({ projection }).given(event).then([]);
    expect(seen).toEqual([['m-1', 'ann', 1n]]);
  });

  it('holds when the projection refuses an event', async () => {
    const refused = spec.given(inCart1).when(eventsInStream('cart-1', [added('pen', 0)]));
    await refused.thenThrows();
    await refused.thenThrows(NoQuantityError);
    await refused.thenThrows(NoQuantityError, ({ sku }) => sku === 'pen');
    await refused.thenThrows((error: Error) => error.message === 'Nothing of pen was added.');
    await refused.thenThrows(ProjectionFailedError, ({ projection }) => projection === 'carts');
    expect((await failureOf(refused.thenThrows(RangeError))).message).toBe(
      'RangeError was expected to be thrown. What was thrown is: Error: Nothing of pen was added.',
    );
    await expect(refused.then([cart1])).rejects.toThrow(
      'Projection "carts" failed: Nothing of pen was added.',
    );
  });

  it('does not hold when it takes what it should refuse, or refuses what was given', async () => {
    expect((await failureOf(spec.when(inCart1).thenThrows(NoQuantityError))).message).toBe(
      'NoQuantityError was expected to be thrown, and nothing was. The projection took all events.',
    );
    await expect(spec.given(added('pen', 0)).when(inCart1).thenThrows()).rejects.toThrow(
      ProjectionFailedError,
    );
  });

  it('does not pass for a test when it is awaited without an end', async () => {
    const unfinished: unknown = spec.given(inCart1).when(inCart1);
    await expect(async () => await unfinished).rejects.toThrow('The spec expects nothing.');
    const alone: unknown = spec.given(inCart1);
    await expect(async () => alone).rejects.toThrow('The spec expects nothing.');
  });

  it('asks which collection is meant where there are several', async () => {
    const projection = documentProjection<Added>({
      name: 'two',
      collections: ['left', 'right'],
      handle: async ([event], context) => {
        await context.collection('left').set('a', event!.data);
      },
    });
    const two = ProjectionSpec.for({ projection }).given(added('tea', 1));
    await two.then([
      documentsAre([{ _id: 'a', sku: 'tea', quantity: 1 }], { in: 'left' }),
      documentsAre([], { in: 'right' }),
    ]);
    expect((await failureOf(two.then([]))).message).toBe(
      'Projection "two" has several collections: left, right. Say which.',
    );
  });

  it('works with the codec and the upcast of the application', async () => {
    type Seen = Event<'Seen', { at: Date }>;
    const projection = multiStreamProjection<{ at: Date }, Seen>({
      name: 'seen',
      collectionName: 'seen',
      canHandle: ['Seen'],
      getDocumentId: () => 'last',
      evolve: (_document, { data }) => data,
    });
    const upcast = (event: ReadEvent): ReadEvent => ({ ...event, data: { at: new Date(7) } });
    const at = new Date(5);
    await expectToHold(
      ProjectionSpec.for({ projection, codec: typedCodec })
        .given({ type: 'Seen', data: { at } })
        .then([{ _id: 'last', at }]),
    );
    await expectToHold(
      ProjectionSpec.for({ projection, codec: typedCodec, upcast })
        .given({ type: 'Seen', data: { at } })
        .then([{ _id: 'last', at: new Date(7) }]),
    );
  });

  it('uses a backend as it is', async () => {
    const source = new MemoryEventStoreBackend();
    const kept = ProjectionSpec.for({ projection: carts, source });
    await expectToHold(kept.given(inCart1).then([cart1]));
    await expectToHold(kept.then([cart1]));
  });
});
