import type { JsonObject, JsonValue } from '@nestbox/core';
import fc from 'fast-check';
import { DEFAULT_PARTITION } from '../src/event.types.js';
import type { ComparisonOperator, DocumentQuery } from '../src/documents/document-query.js';
import { matchesQuery, selectDocuments, sortKeyOf } from '../src/documents/match.js';
import { freshName, openPostgres, store } from './support/document-backends.js';

let opened: Awaited<ReturnType<typeof openPostgres>>;
let name: string;
/** Texts whose order does not depend on the collation, or all of them where it is that of their bytes. */
let alphabet: string[];

beforeAll(async () => {
  opened = await openPostgres();
  name = freshName();
  await opened.backend.documents.ensure({ name, indexes: ['a', 'b.a'], indexAll: true });
  const [row] = await opened.postgres.query(
    'select datcollate as c from pg_database where datname = current_database()',
  );
  const byBytes = /^(?:C|POSIX|C\.UTF-?8)$/i.test(String(row!['c']));
  alphabet = byBytes ? ['a', 'b', 'B', 'ä', '\uffff', '🦊', "'", '"', '\\', '1'] : ['a', 'b', 'c'];
});

afterAll(() => opened.close());

function arbitraries() {
  const text = fc.string({ unit: fc.constantFrom(...alphabet), maxLength: 3 });
  // Some of them PostgreSQL also takes for indexes of arrays.
  const key = fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom('a', 'b') },
    {
      weight: 2,
      arbitrary: fc.constantFrom('0', '1', '-1', '01', '+0', ' 1', '1 ', '-0', '2147483648', '-2147483648'),
    },
    { weight: 1, arbitrary: fc.constantFrom('', "it's", 'x"y\\z', 'NULL', '{}', '__proto__') },
  );
  const { value } = fc.letrec<{ value: JsonValue }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 3, withCrossShrink: true },
      fc.constant(null),
      text,
      fc.oneof(fc.integer({ min: -2, max: 2 }), fc.constantFrom(0.5, 1e21, -1e-7, 9007199254740991)),
      fc.boolean(),
      fc.array(tie('value'), { maxLength: 3 }),
      fc.dictionary(key, tie('value'), { maxKeys: 3, noNullPrototype: true }),
    ),
  }));
  const object = fc.dictionary(key, value, { maxKeys: 4, noNullPrototype: true }) as fc.Arbitrary<JsonObject>;
  const path = fc.array(key, { minLength: 1, maxLength: 3 });
  const id = fc.string({ unit: fc.constantFrom('a', 'b', '🦊', '\uffff'), minLength: 1, maxLength: 2 });
  const comparison = fc.oneof(
    fc.record({
      path,
      operator: fc.constantFrom<ComparisonOperator>('$eq', '$ne', '$gt', '$gte', '$lt', '$lte'),
      value,
    }),
    fc.record({
      path,
      operator: fc.constantFrom<ComparisonOperator>('$in', '$nin'),
      value: fc.array(value, { maxLength: 3 }),
    }),
    fc.record({ path, operator: fc.constant<ComparisonOperator>('$exists'), value: fc.boolean() }),
  );
  const sort = fc.option(
    fc.record({ path: fc.oneof(path, fc.constant(['_id'])), descending: fc.boolean() }),
    { nil: undefined },
  );
  const query: fc.Arbitrary<DocumentQuery> = fc.record({
    contains: fc.option(
      fc.dictionary(fc.constantFrom('a', 'b'), value, { maxKeys: 2, noNullPrototype: true }),
      { nil: undefined, freq: 2 },
    ),
    comparisons: fc.array(comparison, { maxLength: 2 }),
    ids: fc.option(fc.array(id, { maxLength: 4 }), { nil: undefined, freq: 1 }),
    sort,
    after: fc.constant(undefined),
    limit: fc.option(fc.integer({ min: 1, max: 5 }), { nil: undefined, freq: 2 }),
  });
  const documents = fc.dictionary(id, object, { maxKeys: 20, noNullPrototype: true });
  return { documents, query, value, id };
}

describe('queries of PostgreSQL documents', () => {
  it('find, order and count what the memory backend does', async () => {
    const { documents, query, value, id } = arbitraries();
    const { backend } = opened;
    await fc.assert(
      fc.asyncProperty(
        documents,
        fc.array(query, { minLength: 1, maxLength: 12 }),
        fc.record({ id, value: fc.option(value, { nil: undefined }) }),
        async (contents, queries, after) => {
          await backend.documents.clear(name, undefined);
          await store(opened, name, contents);
          const stored = Object.entries(contents).map(([key, data]) => ({ id: key, data, version: 1n }));
          for (const each of queries) {
            const found = await backend.documents.find(name, DEFAULT_PARTITION, each);
            expect(found).toEqual(selectDocuments(stored, each));
            const count = await backend.documents.count(name, DEFAULT_PARTITION, each);
            expect(count).toBe(stored.filter((document) => matchesQuery(document, each)).length);
            // From a place where there need not be a document any more.
            const behind = { ...each, after };
            const next = await backend.documents.find(name, DEFAULT_PARTITION, behind);
            expect(next).toEqual(selectDocuments(stored, behind));
          }
        },
      ),
      { numRuns: 150 },
    );
  }, 120_000);

  it('give page by page what they give at once', async () => {
    const { documents, query } = arbitraries();
    const { backend } = opened;
    await fc.assert(
      fc.asyncProperty(documents, query, fc.integer({ min: 1, max: 3 }), async (contents, asked, limit) => {
        await backend.documents.clear(name, undefined);
        await store(opened, name, contents);
        const whole = await backend.documents.find(name, DEFAULT_PARTITION, { ...asked, limit: undefined });
        const paged: unknown[] = [];
        let after: DocumentQuery['after'];
        for (;;) {
          const page = await backend.documents.find(name, DEFAULT_PARTITION, { ...asked, after, limit });
          paged.push(...page);
          if (page.length < limit) break;
          after = sortKeyOf(page.at(-1)!, asked);
        }
        expect(paged).toEqual(whole);
      }),
      { numRuns: 80 },
    );
  }, 120_000);
});
