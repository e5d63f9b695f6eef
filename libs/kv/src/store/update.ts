import { InvalidArgumentError, backoffMs } from '@nestbox/core';
import { setTimeout as delay } from 'node:timers/promises';
import type { Expiry } from '../kv.adapter.js';
import { VersionConflictError } from '../kv.errors.js';
import { assertFunction, type RunningUpdate, type StoreContext } from './store-context.js';
import type { UpdateOptions } from '../kv.types.js';

/** With the waits below this is tens of seconds of losing every time. */
const MAX_ATTEMPTS = 100;
const RETRY = { baseMs: 2, maxMs: 250 };

export type Updater = (current: unknown) => unknown;

export interface Updated {
  value: unknown;
  version: bigint | undefined;
}

/** Replaces a value by one computed from it, as often as it takes for nobody to come between. */
export async function update(
  context: StoreContext,
  key: string,
  fn: Updater,
  { ttl }: UpdateOptions,
): Promise<Updated> {
  const outer = context.space.outer(key);
  assertFunction(fn, 'fn');
  const expiry = ttl === undefined ? undefined : context.expiry(ttl);
  const { updates, updating } = context.shared;
  const around = runningAround(updating.getStore());
  if (around.some(({ key: updated }) => updated === outer)) {
    throw new InvalidArgumentError('key', `"${key}" is being updated by the function that updates it again.`);
  }
  const own: RunningUpdate = { key: outer, running: true, around };
  const run = async (): Promise<Updated> => {
    try {
      return await updating.run(own, () => replace(context, outer, fn, expiry));
    } finally {
      own.running = false;
    }
  };
  // Callers of this process take turns, instead of failing each other. Not so where a turn could wait for what
  // this caller holds: a row locked by its transaction, or the turn of an update around this one.
  return context.inTransaction || around.length > 0 ? run() : updates.run(outer, run);
}

async function replace(
  context: StoreContext,
  outer: string,
  fn: Updater,
  expiry: Expiry | undefined,
): Promise<Updated> {
  const { adapter, recording } = context;
  for (let attempt = 1; ; attempt++) {
    const current = await adapter.getEntry(outer);
    const value: unknown = await fn(structuredClone(current?.value));
    if (value === undefined) return { value: current?.value, version: current?.version };
    const detached = context.detached(value);
    const options = {
      ...recording,
      ifVersion: current?.version ?? ('absent' as const),
      expiry: expiry ?? (current === undefined ? context.expiry(undefined) : ('keep' as const)),
    };
    try {
      const { version } = await context.write([outer], () => adapter.set(outer, detached, options));
      return { value, version };
    } catch (error) {
      if (!(error instanceof VersionConflictError) || attempt === MAX_ATTEMPTS) throw error;
    }
    await delay(backoffMs(attempt, RETRY));
  }
}

/** The updates that have not ended; what they started may well outlive them. */
function runningAround(innermost: RunningUpdate | undefined): RunningUpdate[] {
  return innermost === undefined ? [] : [innermost, ...innermost.around].filter(({ running }) => running);
}
