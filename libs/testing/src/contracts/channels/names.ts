/** Names that mean something to some backend, and must mean nothing. */
export const ODD_NAMES = [
  'a:b',
  ':',
  '*',
  '?[a-z]',
  '{}',
  '{a}b',
  '}{',
  '"',
  "'",
  "'; drop table x; --",
  '%',
  '_',
  '\\',
  '\\\\"',
  '$1',
  ' ',
  'a\nb',
  '🦊',
  'é',
  'e\u0301',
  'NULL',
  '__proto__',
  'x'.repeat(512),
  'é'.repeat(256),
];

/** What no name may be. */
export const BAD_NAMES: [string, unknown][] = [
  ['an empty one', ''],
  ['one with NUL', 'a\0b'],
  ['one with a lone surrogate', 'a\ud800'],
  ['one of 513 bytes', 'x'.repeat(513)],
  ['one of 514 bytes in 257 characters', 'é'.repeat(257)],
  ['a number', 5],
  ['null', null],
  ['undefined', undefined],
];
