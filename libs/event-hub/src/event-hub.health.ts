import type { Duration } from '@nestbox/core';
import { reportHealth } from '@nestbox/nest';
import { Inject, Injectable } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import type { HealthIndicatorResult } from '@nestjs/terminus';
import type { EventHubService } from './event-hub.service.js';
import { getEventHubToken } from './event-hub.tokens.js';

/** Of one check of the event hub. */
export interface EventHubHealthOptions {
  /** The name given to `EventHubModule.forRoot`, for a named hub. */
  name?: string;
  /** How long a round trip to the store may take before the hub counts as down. Default: 1 s. */
  timeout?: Duration;
}

/**
 * Reports a hub to Terminus after a real round trip to its store: `up`, `degraded` while messages of other instances come
 * late or not at all, or `down`. Besides `backend` and `latencyMs` it gives the `topics`, `members` and `handlers` of this
 * instance, and the `backplane` with its state.
 */
@Injectable()
export class EventHubHealthIndicator {
  constructor(@Inject(ModuleRef) private readonly moduleRef: ModuleRef) {}

  /**
   * @param key what to call the hub in the report
   * @throws UnsupportedOperationError when @nestjs/terminus is not installed
   */
  async isHealthy<const Key extends string = 'eventHub'>(
    key: Key = 'eventHub' as Key,
    { name, timeout }: EventHubHealthOptions = {},
  ): Promise<HealthIndicatorResult<Key>> {
    const hub: EventHubService = this.moduleRef.get(getEventHubToken(name), { strict: false });
    const { backend } = hub.store;
    return reportHealth({
      key,
      what: `The event hub on ${backend}`,
      timeout,
      figures: { backend, ...hub.figures, backplane: stateOf(hub) },
      probe: async () => {
        const latencyMs = Math.round((await hub.store.ping()) * 100) / 100;
        const { status, reason } = hub.backplane.state;
        return {
          problem:
            status === 'degraded' || status === 'down'
              ? `Messages of other instances come ${status === 'down' ? 'not at all' : 'late'} for now${reason === undefined ? '' : `: ${reason}`}.`
              : undefined,
          figures: { latencyMs },
        };
      },
    });
  }
}

function stateOf({ backplane }: EventHubService): Record<string, unknown> {
  const { status, since } = backplane.state;
  return { backend: backplane.backend, status, since: since.toISOString() };
}
