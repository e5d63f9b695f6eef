import { inspect } from 'node:util';
import { isMatcher } from './equal.js';

/** Unchanged lines that are shown around a change. */
const CONTEXT = 3;
/** Beyond it, telling the lines apart takes too long; both are shown as a whole. */
const MAX_CELLS = 4_000_000;

interface Line {
  readonly sign: '-' | '+' | ' ';
  readonly text: string;
}

/** What differs, line by line: `-` is expected, `+` is what there is. */
export function diff(expected: unknown, actual: unknown): string {
  const lines = compare(show(expected), show(actual));
  return ['- expected', '+ actual', '', ...excerpt(lines)].join('\n');
}

function show(value: unknown): string[] {
  const text = inspect(tidy(value), {
    depth: Infinity,
    maxArrayLength: Infinity,
    maxStringLength: Infinity,
    compact: false,
    breakLength: 80,
    sorted: true,
  });
  // A comma behind the last of a list too, which would be a difference as soon as something comes behind it.
  return text
    .split('\n')
    .map((line, i, { length }) => (/[[{(,+]$/.test(line) || i === length - 1 ? line : `${line},`));
}

/** Leaves out what counts as absent, and lets matchers speak for themselves. */
function tidy(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (isMatcher(value)) return { [inspect.custom]: () => describeMatcher(value) };
  if (Array.isArray(value)) return value.map(tidy);
  const prototype: unknown = Object.getPrototypeOf(value);
  const isPlain = prototype === null || Object.getPrototypeOf(prototype) === null;
  if (!isPlain) return value;
  const entries = Object.entries(value).filter(([, inner]) => inner !== undefined);
  return Object.fromEntries(entries.map(([key, inner]) => [key, tidy(inner)]));
}

function describeMatcher(matcher: object): string {
  const { toAsymmetricMatcher, sample } = matcher as { toAsymmetricMatcher?: unknown; sample?: unknown };
  if (typeof toAsymmetricMatcher === 'function') return String(toAsymmetricMatcher.call(matcher));
  // oxlint-disable-next-line typescript/no-base-to-string -- Matchers of Jest and Vitest have their names there.
  const name = matcher.toString();
  return sample === undefined ? name : `${name} ${inspect(sample)}`;
}

/** The longest common subsequence of both stays unchanged. */
function compare(expected: readonly string[], actual: readonly string[]): Line[] {
  const removed = (text: string): Line => ({ sign: '-', text });
  const added = (text: string): Line => ({ sign: '+', text });
  if (expected.length * actual.length > MAX_CELLS) return [...expected.map(removed), ...actual.map(added)];
  const common = commonLengths(expected, actual);
  const lines: Line[] = [];
  let i = 0;
  let j = 0;
  while (i < expected.length || j < actual.length) {
    if (i < expected.length && expected[i] === actual[j]) {
      lines.push({ sign: ' ', text: expected[i]! });
      i++;
      j++;
    } else if (i < expected.length && (j === actual.length || common[i + 1]![j]! >= common[i]![j + 1]!)) {
      lines.push(removed(expected[i++]!));
    } else {
      lines.push(added(actual[j++]!));
    }
  }
  return lines;
}

/** At `[i][j]`, how many lines those from `i` and those from `j` have in common, in order. */
function commonLengths(a: readonly string[], b: readonly string[]): Uint32Array[] {
  const lengths = Array.from({ length: a.length + 1 }, () => new Uint32Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      lengths[i]![j] =
        a[i] === b[j] ? lengths[i + 1]![j + 1]! + 1 : Math.max(lengths[i + 1]![j]!, lengths[i]![j + 1]!);
    }
  }
  return lengths;
}

function excerpt(lines: readonly Line[]): string[] {
  const isNear = (at: number): boolean =>
    lines.slice(Math.max(0, at - CONTEXT), at + CONTEXT + 1).some(({ sign }) => sign !== ' ');
  const shown: string[] = [];
  let isCut = false;
  lines.forEach(({ sign, text }, i) => {
    const isShown = isNear(i);
    if (isShown) shown.push(`${sign} ${text}`);
    else if (!isCut) shown.push('  …');
    isCut = !isShown;
  });
  return shown;
}
