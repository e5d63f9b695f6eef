import { InvalidArgumentError } from '@nestbox/core';
import fc from 'fast-check';
import { fromCursor, toCursor } from '../src/http/page-cursor.js';

describe('A cursor', () => {
  it('leads back to the id that it was made of', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (id) => {
        fc.pre(!id.includes('\0') && id.isWellFormed());
        expect(fromCursor(toCursor(id))).toBe(id);
      }),
    );
  });

  it.each(['', 'nonsense', '%', toCursor('a').slice(1), `${toCursor('a')}=`, toCursor('a\0b')])(
    'that is %j is refused',
    (cursor) => {
      expect(() => fromCursor(cursor)).toThrow(InvalidArgumentError);
    },
  );
});
