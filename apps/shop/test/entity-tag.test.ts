import { InvalidArgumentError } from '@nestbox/core';
import fc from 'fast-check';
import { entityTag, Preconditions } from '../src/http/entity-tag.js';

function conditions(ifMatch?: string, ifNoneMatch?: string): Preconditions {
  return new Preconditions({ 'if-match': ifMatch, 'if-none-match': ifNoneMatch });
}

describe('Preconditions of a write', () => {
  it('hold where there are none', () => {
    expect(conditions().allowWrite(undefined)).toBe(true);
    expect(conditions().allowWrite(3n)).toBe(true);
  });

  it.each([
    ['"3"', true],
    ['"2", "3"', true],
    [' "2" ,, "3" ,', true],
    ['"2"', false],
    ['"03"', false],
    ['W/"3"', false],
    ['W/"3", "3"', true],
    ['"a,b", "3"', true],
    ['"3,"', false],
    ['*', true],
    ['', false],
  ])('If-Match: %s lets version 3 be written: %s', (header, allowed) => {
    expect(conditions(header).allowWrite(3n)).toBe(allowed);
    expect(conditions(header).allowWrite(undefined)).toBe(false);
  });

  it.each([
    ['*', false],
    ['"3"', false],
    ['W/"3"', false],
    ['"2"', true],
  ])('If-None-Match: %s lets version 3 be written: %s', (header, allowed) => {
    expect(conditions(undefined, header).allowWrite(3n)).toBe(allowed);
    expect(conditions(undefined, header).allowWrite(undefined)).toBe(true);
  });

  it('must both hold', () => {
    expect(conditions('"3"', '"2"').allowWrite(3n)).toBe(true);
    expect(conditions('"3"', '*').allowWrite(3n)).toBe(false);
  });

  it.each(['3', '"3', '"3" "4"', 'w/"3"', 'W/3', '*, "3"', '"3", *', "'3'", '"3"x', 'W/ "3"'])(
    'are refused when they read %s',
    (header) => {
      expect(() => conditions(header)).toThrow(InvalidArgumentError);
      expect(() => conditions(undefined, header)).toThrow(/headers\.if-none-match/);
    },
  );

  it('match a tag wherever it stands in a list of any tags', () => {
    const opaque = fc.stringMatching(/^[!#-~]{0,8}$/);
    const tag = fc.tuple(fc.boolean(), opaque).map(([weak, text]) => `${weak ? 'W/' : ''}"${text}"`);
    const list = fc.array(tag, { maxLength: 5 });
    const comma = fc.constantFrom(',', ', ', ' ,\t');
    fc.assert(
      fc.property(
        list,
        list,
        comma,
        fc.bigInt({ min: 1n, max: 2n ** 62n }),
        (before, after, separator, version) => {
          const header = [...before, entityTag(version), ...after].join(separator);
          expect(conditions(header).allowWrite(version)).toBe(true);
          expect(conditions(undefined, header).read(version)).toBe('not-modified');
        },
      ),
    );
  });
});

describe('Preconditions of a read', () => {
  it('send what the client does not have', () => {
    expect(conditions().read(3n)).toBe('send');
    expect(conditions(undefined, '"2"').read(3n)).toBe('send');
  });

  it('send nothing where the client has it', () => {
    for (const header of ['"3"', 'W/"3"', '"1", W/"3"', '*']) {
      expect(conditions(undefined, header).read(3n)).toBe('not-modified');
    }
  });

  it('fail where the client wants another state', () => {
    expect(conditions('"2"').read(3n)).toBe('precondition-failed');
    expect(conditions('"2"', '"3"').read(3n)).toBe('precondition-failed');
  });
});
