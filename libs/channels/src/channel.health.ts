import type { Duration } from '@nestbox/core';
import { reportHealth } from '@nestbox/nest';
import { Inject, Injectable } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import type { HealthIndicatorResult } from '@nestjs/terminus';
import type { ChannelService } from './channel.service.js';
import { getChannelsToken } from './channel.tokens.js';

/** Of one check of the channels. */
export interface ChannelHealthOptions {
  /** The name given to `ChannelModule.forRoot`, for a named service. */
  name?: string;
  /** How long a round trip to the store may take before it counts as down. Default: 1 s. */
  timeout?: Duration;
}

/**
 * Reports channels to Terminus after a real round trip to their store: `up`, `degraded` while other instances cannot be
 * reached or the lease of this one is overdue, or `down`. Besides `backend` and `latencyMs` it gives the number of
 * `channels` of this instance, the age of its `lease`, and the `backplane` with its state.
 */
@Injectable()
export class ChannelHealthIndicator {
  constructor(@Inject(ModuleRef) private readonly moduleRef: ModuleRef) {}

  /**
   * @param key what to call the channels in the report
   * @throws UnsupportedOperationError when @nestjs/terminus is not installed
   */
  async isHealthy<const Key extends string = 'channels'>(
    key: Key = 'channels' as Key,
    { name, timeout }: ChannelHealthOptions = {},
  ): Promise<HealthIndicatorResult<Key>> {
    const service: ChannelService = this.moduleRef.get(getChannelsToken(name), { strict: false });
    const { backend } = service.store;
    const { channels, lease, backplane } = service.figures;
    const { status, since } = backplane;
    return reportHealth({
      key,
      what: `The channels on ${backend}`,
      timeout,
      figures: {
        backend,
        channels,
        leaseAgeMs: lease.ageMs,
        backplane: { backend: service.backplane.backend, status, since: since.toISOString() },
      },
      probe: async () => ({
        figures: { latencyMs: Math.round((await service.store.ping()) * 100) / 100 },
        problem: problemOf(service),
      }),
    });
  }
}

function problemOf({ figures: { backplane, lease } }: ChannelService): string | undefined {
  if (lease.isOverdue) return 'The lease of this instance is overdue; others may remove its channels.';
  if (backplane.status === 'up') return undefined;
  const reason = backplane.reason === undefined ? '' : `: ${backplane.reason}`;
  return `Other instances cannot be reached for now${reason}.`;
}
