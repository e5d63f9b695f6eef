import { InvalidArgumentError, assertName, parseDuration, type Duration } from '@nestbox/core';
import type { QueueRow } from './workflow.backend.js';
import type { QueueOptions } from './workflow.types.js';

/** How many runs a process runs, in which queues, and for how long they are kept. */
export interface WorkflowSettings {
  /** How many runs this process runs at once; parked ones do not count. Default: 100. */
  concurrency?: number | undefined;
  /** The queues that this process serves. Default: all. */
  queues?: readonly string[] | undefined;
  /** The limits of queues, by name. They hold for all processes; the last one that starts decides. */
  limits?: Readonly<Record<string, QueueOptions>> | undefined;
  /** After how long without a sign of life a process loses its runs to others. Default: 10 s. */
  lease?: Duration | undefined;
  /** How often to look for runs without having been told of any, in ms. Default: 1,000. */
  pollMs?: number | undefined;
  /** For how long steps may go on when the process stops. Default: 5 s. */
  drainTimeout?: Duration | undefined;
  /** The largest input, result or signal, in bytes of JSON. Default: 16 MiB. */
  maxPayloadBytes?: number | undefined;
  /** For how long runs are kept that have completed, failed or were cancelled. Default: for ever. */
  retention?: Duration | undefined;
}

export interface CheckedSettings {
  readonly concurrency: number;
  readonly queues: readonly string[] | undefined;
  readonly limits: readonly QueueRow[];
  readonly leaseMs: number;
  readonly pollMs: number;
  readonly drainMs: number;
  readonly maxPayloadBytes: number;
  readonly retentionMs: number | undefined;
}

const MIN_LEASE_MS = 300;

/** @throws InvalidArgumentError */
export function checkSettings(settings: WorkflowSettings): CheckedSettings {
  const { concurrency = 100, queues, limits = {}, lease = '10s', pollMs = 1_000 } = settings;
  const { drainTimeout = '5s', maxPayloadBytes = 16 * 1_048_576, retention } = settings;
  assertCount(concurrency, 'concurrency');
  assertCount(pollMs, 'pollMs');
  assertCount(maxPayloadBytes, 'maxPayloadBytes');
  if (queues !== undefined) {
    if (!Array.isArray(queues)) throw new InvalidArgumentError('queues', 'must be an array of names.');
    for (const [i, name] of queues.entries()) assertName(name, `queues[${i}]`);
  }
  const leaseMs = parseDuration(lease, 'lease');
  if (leaseMs < MIN_LEASE_MS) {
    throw new InvalidArgumentError(
      'lease',
      `${leaseMs} ms is too short to be renewed in time; give at least ${MIN_LEASE_MS}.`,
    );
  }
  return {
    concurrency,
    queues,
    limits: Object.entries(limits).map(([name, options]) => checkQueue(name, options)),
    leaseMs,
    pollMs,
    drainMs: parseDuration(drainTimeout, 'drainTimeout'),
    maxPayloadBytes,
    retentionMs: retention === undefined ? undefined : parseDuration(retention, 'retention'),
  };
}

/** @throws InvalidArgumentError */
export function assertCount(value: unknown, path: string): asserts value is number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value > 0) return;
  throw new InvalidArgumentError(path, `${String(value)} must be a whole number of at least 1.`);
}

function checkQueue(name: string, { concurrency, partitionConcurrency, rate }: QueueOptions): QueueRow {
  assertName(name, 'limits');
  const path = `limits.${name}`;
  if (concurrency !== undefined) assertCount(concurrency, `${path}.concurrency`);
  if (partitionConcurrency !== undefined) assertCount(partitionConcurrency, `${path}.partitionConcurrency`);
  if (rate !== undefined) assertCount(rate.limit, `${path}.rate.limit`);
  const perMs = rate === undefined ? 0 : parseDuration(rate.per, `${path}.rate.per`);
  return { name, concurrency, partitionConcurrency, rate: rate && { limit: rate.limit, perMs } };
}
