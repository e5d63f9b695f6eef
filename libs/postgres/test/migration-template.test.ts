import { InvalidArgumentError } from '@nestbox/core';
import fc from 'fast-check';
import { Postgres } from '@nestbox/postgres';
import { testDatabase, type TestDatabase } from '@nestbox/testing';
import { quoteLiteral, renderTemplate } from '../src/migration-template.js';

const PARAMETERS = { schema: 'public', table: 'kv_store' };

describe('renderTemplate', () => {
  it.each([
    ['{{table}}', '"kv_store"'],
    ['{{ table }}', '"kv_store"'],
    ['{{table+_history}}', '"kv_store_history"'],
    ['{{schema.table}}', '"public"."kv_store"'],
    ['{{schema.table+_2}}', '"public"."kv_store_2"'],
    ['{{table:literal}}', `'kv_store'`],
    ['{{table+_log:literal}}', `'kv_store_log'`],
    ['{{schema.table+_log:literal}}', `'"public"."kv_store_log"'`],
    ['{{schema.table+_log:regclass}}', `'"public"."kv_store_log"'::regclass`],
    [`select '{{1,2},{3,4}}'::int[]`, `select '{{1,2},{3,4}}'::int[]`],
  ])('turns %s into %s', (template, sql) => {
    expect(renderTemplate(template, PARAMETERS, 'a.sql')).toBe(sql);
  });

  it.each(['{{tabel}}', '{{}}', '{{table+}}', '{{table:raw}}', '{{a.b.c}}', '{{constructor}}'])(
    'refuses %s',
    (template) => {
      expect(() => renderTemplate(template, PARAMETERS, 'a.sql')).toThrow(InvalidArgumentError);
    },
  );

  it('quotes what would end an identifier or a string', () => {
    expect(renderTemplate('{{table}} {{table:literal}}', { table: `a"b'c` }, 'a.sql')).toBe(
      `"a""b'c" 'a"b''c'`,
    );
    expect(renderTemplate('{{s.t:regclass}}', { s: 'a"', t: "b'" }, 'a.sql')).toBe(`'"a"""."b''"'::regclass`);
  });

  it('refuses a name that is too long once something was added', () => {
    const table = 'x'.repeat(60);
    expect(renderTemplate('{{table+_12}}', { table }, 'a.sql')).toBe(`"${table}_12"`);
    expect(() => renderTemplate('{{table+_123}}', { table }, 'a.sql')).toThrow('at most 63');
  });

  it('refuses a name that would get out of a function body or a comment', () => {
    expect(() => renderTemplate('as $$ select {{t}} $$', { t: 'a$$b' }, 'a.sql')).toThrow(
      'must not contain $$',
    );
    expect(() => renderTemplate('as $x_1$ {{t}} $x_1$', { t: 'a$x_1$b' }, 'a.sql')).toThrow(
      InvalidArgumentError,
    );
    expect(renderTemplate('{{t}}', { t: 'a$$b' }, 'a.sql')).toBe('"a$$b"');
    expect(() => renderTemplate('-- {{t}}', { t: 'a\nb' }, 'a.sql')).toThrow('control character');
    expect(() => renderTemplate('/* {{t}} */', { t: 'a*/b' }, 'a.sql')).toThrow(InvalidArgumentError);
  });

  describe('on a server', () => {
    let database: TestDatabase;
    let postgres: Postgres;

    beforeAll(async () => {
      database = await testDatabase();
      postgres = new Postgres({ url: database.url, options: { max: 1 } });
    });

    afterAll(async () => {
      await postgres.close();
      await database.drop();
    });

    it.each(['on', 'off'])(
      'writes any text as a string, with standard_conforming_strings %s',
      async (setting) => {
        await postgres.query(`set standard_conforming_strings = ${setting}; set escape_string_warning = off`);
        const texts = fc
          .string({ unit: 'binary', maxLength: 20 })
          .filter((s) => s.isWellFormed() && !s.includes('\0'));
        const tricky = fc
          .array(fc.constantFrom("'", '\\', '"', '$', '%', '\n', 'é', '😀'))
          .map((parts) => parts.join(''));
        await fc.assert(
          fc.asyncProperty(fc.oneof(texts, tricky), async (text) => {
            expect(await postgres.query(`select ${quoteLiteral(text)} as text`)).toEqual([{ text }]);
          }),
          { numRuns: 60 },
        );
      },
    );
  });
});
