import { InvalidArgumentError, assertName, parseDuration } from '@nestbox/core';
import type { EventStoreBackend } from '../event-store.backend.js';
import { checkTypes } from '../projections/document-plan.js';
import { assertProjection } from '../projections/projection-registry.js';
import { checkCount, checkPosition } from '../support/arguments.js';
import type { ProcessorOptions, ProjectorOptions, ReactorOptions, StartFrom } from './consumer.types.js';

/** {@link ProcessorOptions}, checked. */
export interface ProcessorSettings {
  readonly processorId: string;
  readonly startFrom: StartFrom;
  readonly batchSize: number;
  readonly leaseMs: number;
  readonly shards: number;
  readonly attempts: number;
  readonly retryMs: { readonly baseMs: number; readonly maxMs: number };
  readonly deadLetter: boolean;
}

/** Above it, an instance would have more workers than any database has connections. */
const MAX_PARALLELISM = 128;

/** @throws InvalidArgumentError */
export function projectorSettings(options: ProjectorOptions): ProcessorSettings {
  assertProjection(options.projection, 'projection');
  const { processorId = options.projection.name } = options;
  return settingsOf(processorId, options, false);
}

/** @throws InvalidArgumentError */
export function reactorSettings(options: ReactorOptions): ProcessorSettings {
  if ((typeof options.eachMessage === 'function') === (typeof options.eachBatch === 'function')) {
    throw new InvalidArgumentError('eachMessage', 'or else eachBatch must be a function; give one of them.');
  }
  checkTypes(options.canHandle);
  return settingsOf(options.processorId, options, true);
}

function settingsOf(
  processorId: unknown,
  {
    startFrom = 'BEGINNING',
    batchSize = 500,
    lease = '10s',
    parallelism = 1,
    retry = {},
    deadLetter,
  }: ProcessorOptions,
  parksByDefault: boolean,
): ProcessorSettings {
  assertName(processorId, 'processorId');
  const leaseMs = parseDuration(lease, 'lease');
  if (leaseMs < 100) throw new InvalidArgumentError('lease', `${leaseMs} ms must be at least 100 ms.`);
  const shards = checkCount(parallelism, 'parallelism');
  if (shards > MAX_PARALLELISM) {
    throw new InvalidArgumentError('parallelism', `${shards} must be at most ${MAX_PARALLELISM}.`);
  }
  const { attempts = 5, base = 100, max = '10s' } = retry;
  return {
    processorId,
    startFrom: checkStart(startFrom),
    batchSize: checkCount(batchSize, 'batchSize'),
    leaseMs,
    shards,
    attempts: checkCount(attempts, 'retry.attempts'),
    retryMs: { baseMs: parseDuration(base, 'retry.base'), maxMs: parseDuration(max, 'retry.max') },
    deadLetter: deadLetter ?? parksByDefault,
  };
}

/** @throws InvalidArgumentError */
export function checkStart(startFrom: unknown, path = 'startFrom'): StartFrom {
  if (startFrom === 'BEGINNING' || startFrom === 'END') return startFrom;
  if (typeof startFrom === 'object' && startFrom !== null && 'position' in startFrom) {
    return { position: checkPosition(startFrom.position, `${path}.position`) };
  }
  throw new InvalidArgumentError(path, "must be 'BEGINNING', 'END' or { position: bigint }.");
}

/** The position behind which a processor begins. */
export async function startPosition(backend: EventStoreBackend, startFrom: StartFrom): Promise<bigint> {
  if (startFrom === 'BEGINNING') return 0n;
  // Not the watermark itself: after a crash of the server, positions that nobody has committed are drawn again.
  if (startFrom === 'END') return backend.head(await backend.watermark());
  return startFrom.position;
}
