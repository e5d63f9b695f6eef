import { parseDuration, type Duration } from '@nestbox/core';
import { reportHealth, type HealthFindings } from '@nestbox/nest';
import { Inject, Injectable } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import type { HealthIndicatorResult } from '@nestjs/terminus';
import type { ProcessorInfo } from './consumers/consumer.types.js';
import type { EventStore } from './event-store.js';
import { getEventStoreToken } from './event-store.tokens.js';

/** Of one check of the event store. */
export interface EventStoreHealthOptions {
  /** The name given to `EventStoreModule.forRoot`, for a named store. */
  name?: string;
  /** How long it may take to find out before the store counts as down. Default: 1 s. */
  timeout?: Duration;
  /** How far a processor may be behind before the store counts as degraded. Default: 1 min. */
  maxLag?: Duration;
}

/**
 * Reports a store to Terminus after a real round trip: `up`; `degraded` while a processor has failed, is far behind, or
 * has parked messages; or `down`. Besides `backend` and `latencyMs` it gives the `headPosition` of the log, the
 * `processors` of all instances with their lag (in positions of the log, and in seconds since the oldest event that is
 * not handled yet), and how many messages are `parked`. The lag of a paused processor counts for nothing.
 */
@Injectable()
export class EventStoreHealthIndicator {
  constructor(@Inject(ModuleRef) private readonly moduleRef: ModuleRef) {}

  /**
   * @param key what to call the store in the report
   * @throws UnsupportedOperationError when @nestjs/terminus is not installed; InvalidArgumentError for a duration
   */
  async isHealthy<const Key extends string = 'eventStore'>(
    key: Key = 'eventStore' as Key,
    { name, timeout, maxLag = '1m' }: EventStoreHealthOptions = {},
  ): Promise<HealthIndicatorResult<Key>> {
    const maxLagMs = parseDuration(maxLag, 'maxLag');
    const store: EventStore = this.moduleRef.get(getEventStoreToken(name), { strict: false });
    const backend = store.backend.kind;
    return reportHealth({
      key,
      what: `The event store on ${backend}`,
      timeout,
      figures: { backend },
      probe: (timeoutMs) => examine(store, timeoutMs, maxLagMs),
    });
  }
}

async function examine(store: EventStore, timeoutMs: number, maxLagMs: number): Promise<HealthFindings> {
  const begin = performance.now();
  await store.backend.ping(timeoutMs);
  const latencyMs = Math.round((performance.now() - begin) * 100) / 100;
  const [head, processors] = await Promise.all([store.head(), store.processors.list()]);
  const problems = processors.flatMap((processor) => problemsOf(processor, maxLagMs));
  return {
    problem: problems.length === 0 ? undefined : problems.join(' '),
    figures: {
      latencyMs,
      headPosition: String(head),
      processors: processors.map(figuresOf),
      parked: processors.reduce((sum, { parked }) => sum + parked, 0),
    },
  };
}

function problemsOf(
  { processorId, status, error, lagMs, parked }: ProcessorInfo,
  maxLagMs: number,
): string[] {
  const problems: string[] = [];
  if (status === 'failed') {
    problems.push(
      `Processor "${processorId}" has failed and stands still${error === undefined ? '' : ` (${error})`}; mend it, then call processors.resume("${processorId}").`,
    );
  } else if (status !== 'paused' && lagMs > maxLagMs) {
    problems.push(`Processor "${processorId}" is ${secondsOf(lagMs)} s behind.`);
  }
  if (parked > 0) {
    problems.push(
      `Processor "${processorId}" has parked ${parked} ${parked === 1 ? 'message' : 'messages'}; see processors.parked("${processorId}").`,
    );
  }
  return problems;
}

/** Without bigints: the report is sent as JSON. */
function figuresOf({ processorId, partition, status, lag, lagMs, parked }: ProcessorInfo) {
  return { id: processorId, partition, status, lag: Number(lag), lagSeconds: secondsOf(lagMs), parked };
}

function secondsOf(ms: number): number {
  return Math.round(ms / 100) / 10;
}
