import { InvalidArgumentError, assertJson, parseDuration, runInRootScope } from '@nestbox/core';
import { createHash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Expiry, KvLease } from '../kv.adapter.js';
import { LeaseHeldError, VersionConflictError } from '../kv.errors.js';
import { assertFunction, type StoreContext } from './store-context.js';
import type { GetOrSetOptions } from '../kv.types.js';

const DEFAULT_LOCK = '30s';
/** How long those who wait for another process sleep before they look again. */
const SHORTEST_POLL_MS = 15;
const LONGEST_POLL_MS = 250;

interface Computation {
  outer: string;
  fn: () => unknown;
  expiry: Expiry;
  /** Undefined where other processes may compute at the same time. */
  lockMs: number | undefined;
}

/** A computation under way, shared by all callers in this process who want the same key. */
export class Flight {
  readonly result: Promise<unknown>;
  /** Whether more than one caller gets the result. */
  shared = false;
  /** The key was written after the computation began, so what it gives may rest on what was true before. */
  outdated = false;
  running = true;

  /** @param around the computations whose functions called for this one */
  constructor(
    readonly key: string,
    readonly around: readonly Flight[],
    start: (flight: Flight) => Promise<unknown>,
  ) {
    this.result = this.end(start);
  }

  private async end(start: (flight: Flight) => Promise<unknown>): Promise<unknown> {
    try {
      return await start(this);
    } finally {
      this.running = false;
    }
  }
}

/** The value of a key; where there is none, the one that `fn` computes, which is then stored. */
export async function getOrSet(
  context: StoreContext,
  key: string,
  fn: () => unknown,
  { ttl, lock = false, lockTtl = DEFAULT_LOCK }: GetOrSetOptions,
): Promise<unknown> {
  const outer = context.space.outer(key);
  assertFunction(fn, 'fn');
  const expiry = context.expiry(ttl);
  const lockMs = parseDuration(lockTtl, 'lockTtl');
  // Not shared: who has just deleted the key must not be given what another caller read before.
  const hit = await context.adapter.get(outer);
  if (hit !== undefined) return hit;

  const { flights, computing } = context.shared;
  const around = runningAround(computing.getStore());
  if (around.some((flight) => flight.key === outer)) {
    throw new InvalidArgumentError(
      'key',
      `"${key}" is being computed by the function that asks for it again.`,
    );
  }
  // What a transaction computes may rest on what it has not committed, and another caller's computation could wait
  // for a row that the transaction has locked. So it shares with nobody.
  const alone = context.inTransaction;
  const known = alone ? undefined : flights.get(outer);
  const flight =
    known ?? takeOff(context, around, { outer, fn, expiry, lockMs: lock && !alone ? lockMs : undefined });
  if (known !== undefined) flight.shared = true;
  else if (!alone) flights.set(outer, flight);
  try {
    const value = await flight.result;
    return flight.shared ? structuredClone(value) : value;
  } finally {
    if (flights.get(outer) === flight) flights.delete(outer);
  }
}

function takeOff(context: StoreContext, around: readonly Flight[], computation: Computation): Flight {
  return new Flight(computation.outer, around, (flight) =>
    context.shared.computing.run(flight, async () => {
      // A flight may have landed between the caller's look and this one's take-off.
      const hit = await context.adapter.get(computation.outer);
      if (hit !== undefined) return hit;
      return computation.lockMs === undefined
        ? computeAndStore(context, computation, flight)
        : computeLocked(context, computation, computation.lockMs, flight);
    }),
  );
}

async function computeAndStore(
  context: StoreContext,
  computation: Computation,
  flight: Flight,
): Promise<unknown> {
  const { outer, fn, expiry } = computation;
  const value: unknown = await fn();
  assertJson(value);
  const current = async (): Promise<unknown> => (await context.adapter.get(outer)) ?? value;
  if (flight.outdated) return current();
  const detached = context.detached(value);
  const options = { ...context.recording, expiry, ifVersion: 'absent' as const };
  try {
    await context.write([], () => context.adapter.set(outer, detached, options));
    return value;
  } catch (error) {
    if (!(error instanceof VersionConflictError)) throw error;
    // What somebody has set in the meantime is newer than what was computed.
    return current();
  }
}

async function computeLocked(
  context: StoreContext,
  computation: Computation,
  lockMs: number,
  flight: Flight,
): Promise<unknown> {
  const { adapter } = context;
  // A key of full length would not leave room for anything that tells its lock from others.
  const name = `getOrSet:${createHash('sha256').update(computation.outer).digest('base64url')}`;
  for (let pollMs = SHORTEST_POLL_MS; ; pollMs = Math.min(pollMs * 1.5, LONGEST_POLL_MS)) {
    const lease = await adapter.lease(name, { ttl: lockMs }).catch((error: unknown) => {
      if (error instanceof LeaseHeldError) return undefined;
      throw error;
    });
    if (lease !== undefined) {
      const stopRenewing = keepRenewing(lease, lockMs);
      try {
        return (
          (await adapter.get(computation.outer)) ?? (await computeAndStore(context, computation, flight))
        );
      } finally {
        stopRenewing();
        // Where it cannot be released it runs out, which is what it is for.
        await lease.release().catch(() => false);
      }
    }
    await delay(pollMs / 2 + (Math.random() * pollMs) / 2);
    const value = await adapter.get(computation.outer);
    if (value !== undefined) return value;
  }
}

function keepRenewing(lease: KvLease, lockMs: number): () => void {
  const timer = runInRootScope(() =>
    setInterval(
      () => {
        // A lost lease only means that another process may compute too; the first to store its value wins.
        lease.renew().catch(() => clearInterval(timer));
      },
      Math.min(lockMs / 3, 2 ** 31 - 1),
    ),
  );
  timer.unref();
  return () => clearInterval(timer);
}

function runningAround(flight: Flight | undefined): Flight[] {
  return flight === undefined ? [] : [flight, ...flight.around].filter(({ running }) => running);
}
