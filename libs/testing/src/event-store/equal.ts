/** Whether a matcher of the test runner, such as `expect.any(String)`, stands in for a value. */
interface Matcher {
  asymmetricMatch(value: unknown): boolean;
}

/**
 * Whether a value is what was expected: by structure, whatever class or realm it is of, and with properties that are
 * undefined taken for absent, as they are in JSON.
 *
 * @param isPartial objects may have more properties than expected, at any depth; arrays may not be longer
 */
export function isEqual(actual: unknown, expected: unknown, isPartial = false): boolean {
  if (isMatcher(expected)) return expected.asymmetricMatch(actual);
  if (Object.is(actual, expected)) return true;
  if (!isObject(actual) || !isObject(expected)) return false;
  return areAlike(actual, expected, isPartial);
}

function areAlike(actual: object, expected: object, isPartial: boolean): boolean {
  const kind = kindOf(actual);
  if (kind !== kindOf(expected)) return false;
  switch (kind) {
    case 'Array':
      return areListsEqual(actual as unknown[], expected as unknown[], isPartial);
    case 'Map':
    case 'Set':
      return areListsEqual(
        [...(actual as Iterable<unknown>)],
        [...(expected as Iterable<unknown>)],
        isPartial,
      );
    case 'Date':
      return Object.is((actual as Date).getTime(), (expected as Date).getTime());
    case 'RegExp':
      return (
        (actual as RegExp).source === (expected as RegExp).source &&
        (actual as RegExp).flags === (expected as RegExp).flags
      );
    case 'Error':
      return areObjectsEqual(describeError(actual as Error), describeError(expected as Error), isPartial);
    default:
      return areObjectsEqual({ ...actual }, { ...expected }, isPartial);
  }
}

/** The value, with what was expected of it in the place of what differs, so that a diff shows nothing else. */
export function withExpected(actual: unknown, expected: unknown): unknown {
  if (isEqual(actual, expected, true)) return actual;
  if (!isPlain(actual) || !isPlain(expected)) return expected;
  const merged: Record<string, unknown> = { ...actual };
  for (const [key, value] of Object.entries(expected)) merged[key] = withExpected(merged[key], value);
  return merged;
}

export function isMatcher(value: unknown): value is Matcher {
  return isObject(value) && 'asymmetricMatch' in value && typeof value.asymmetricMatch === 'function';
}

function areListsEqual(actual: unknown[], expected: unknown[], isPartial: boolean): boolean {
  return (
    actual.length === expected.length && expected.every((item, i) => isEqual(actual[i], item, isPartial))
  );
}

function areObjectsEqual(
  actual: Record<string, unknown>,
  expected: Record<string, unknown>,
  isPartial: boolean,
): boolean {
  const keys = new Set([...Object.keys(expected), ...(isPartial ? [] : Object.keys(actual))]);
  return [...keys].every((key) => isEqual(actual[key], expected[key], isPartial));
}

function describeError(error: Error): Record<string, unknown> {
  return { ...(error as object), name: error.name, message: error.message };
}

function isPlain(value: unknown): value is Record<string, unknown> {
  return isObject(value) && !isMatcher(value) && kindOf(value) === 'Object';
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

/** `instanceof` does not know the objects of another realm, such as those that Node makes for a test in a vm context. */
function kindOf(value: object): string {
  return Object.prototype.toString.call(value).slice('[object '.length, -1);
}
