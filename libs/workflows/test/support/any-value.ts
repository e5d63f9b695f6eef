import fc from 'fast-check';

/** Among them NUL, lone surrogates and pairs. */
const text = fc.string({
  unit: fc.oneof(
    fc.constantFrom('\0', '\ud800', '\udc00', '🦊', '"', '\\', '$', 'u0000'),
    fc.string({ maxLength: 1 }),
  ),
  maxLength: 6,
});

const key = fc.oneof(
  text,
  fc.constantFrom('$type', 'value', '__proto__', '', '0', 'toString', 'constructor'),
);

/** Values of all types that are kept, nested. */
export const { anyValue } = fc.letrec<{ anyValue: unknown }>((tie) => ({
  anyValue: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.oneof(
      text,
      fc.double(),
      fc.integer(),
      fc.boolean(),
      fc.constantFrom(null, undefined, -0, Number.NaN, Infinity, -Infinity, 5e-324, Number.MAX_VALUE),
      fc.bigInt(),
      fc.date({ noInvalidDate: true }),
      fc.constantFrom(/a\/b\\/giu, /[/]/, /\0/u),
      fc.webUrl().map((url) => new URL(url)),
      fc.uint8Array({ maxLength: 5 }),
      fc.uint8Array({ maxLength: 5 }).map((bytes) => Buffer.from(bytes)),
    ),
    fc.array(tie('anyValue'), { maxLength: 4 }),
    fc.dictionary(key, tie('anyValue'), { maxKeys: 4, noNullPrototype: true }),
    fc.array(fc.tuple(tie('anyValue'), tie('anyValue')), { maxLength: 3 }).map((entries) => new Map(entries)),
    fc.array(tie('anyValue'), { maxLength: 3 }).map((values) => new Set(values)),
    fc
      .record({
        type: fc.constantFrom(Error, TypeError, RangeError),
        message: text,
        cause: fc.option(tie('anyValue'), { nil: undefined }),
        own: fc.dictionary(fc.constantFrom('code', 'status', '$type', 'detail'), tie('anyValue'), {
          maxKeys: 2,
        }),
      })
      .map(({ type, message, cause, own }) =>
        Object.assign(new type(message, cause === undefined ? {} : { cause }), own),
      ),
  ),
}));
