import { AsyncResource } from 'node:async_hooks';

/** Created when the module loads: with an application's other imports, outside every caller's async context. */
const root = new AsyncResource('NestboxRootScope');

/**
 * Runs a function outside the caller's async context. Work that serves many callers (a flush, a heartbeat, a
 * poll) must not inherit the transaction or the request of whoever happened to start it.
 */
export function runInRootScope<R>(fn: () => R): R {
  return root.runInAsyncScope(fn);
}
