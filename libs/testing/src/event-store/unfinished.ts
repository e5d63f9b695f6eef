import { SpecFailedError } from './spec.errors.js';

/**
 * A spec has a `then`, so that `await` without one, as well as returning it from an async function, calls it with two
 * functions. That would be a test of nothing.
 *
 * @returns whether it was `await` that called; then it gets an error
 */
export function isAwaited(args: readonly unknown[]): boolean {
  const [, reject] = args;
  if (typeof reject !== 'function') return false;
  (reject as (error: Error) => void)(
    new SpecFailedError('The spec expects nothing. End it by .then(…) or .thenThrows(…), and await that.'),
  );
  return true;
}
