import type { JsonValue } from '@nestbox/core';
import { Postgres } from '@nestbox/postgres';
import { testDatabase, type TestDatabase } from '@nestbox/testing';
import fc from 'fast-check';
import { containsJson } from '../src/adapter-support.js';

/** Values of few parts, so that one often contains another. */
const json = fc.letrec<{ value: JsonValue }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    fc.constantFrom(null, true, false, 0, 1, 1.5, '', 'a', 'b'),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom('a', 'b', '', '__proto__'), tie('value'), { maxKeys: 2 }),
  ),
})).value;

describe('containsJson', () => {
  let database: TestDatabase;
  let postgres: Postgres;
  beforeAll(async () => {
    database = await testDatabase();
    postgres = new Postgres(database.url);
  });
  afterAll(async () => {
    await postgres.close();
    await database.drop();
  });

  it('means what PostgreSQL means by @>', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(json, json), { minLength: 100, maxLength: 100 }), async (pairs) => {
        const rows = await postgres.query<{ contains: boolean }>(
          `select (pair->0) @> (pair->1) as contains
             from jsonb_array_elements($1::text::jsonb) with ordinality as pairs(pair, i) order by i`,
          [JSON.stringify(pairs)],
        );
        const ours = pairs.map(([value, part]) => containsJson(value, part));
        expect(ours).toEqual(rows.map(({ contains }) => contains));
      }),
      { numRuns: 60 },
    );
  });
});
