import type { Duration } from '@nestbox/core';
import { reportHealth } from '@nestbox/nest';
import { Inject, Injectable } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import type { HealthIndicatorResult } from '@nestjs/terminus';
import type { KeyValueStore } from './key-value-store.js';
import { getKvToken } from './kv.tokens.js';

/** Of one check of a store. */
export interface KvHealthOptions {
  /** The name given to `KvModule.forRoot`, for a named store. */
  name?: string;
  /** How long a round trip may take before the store counts as down. Default: 1 s. */
  timeout?: Duration;
}

/**
 * Reports a store to Terminus after a real round trip to its backend: `up` with `backend` and `latencyMs`, `down` with
 * `backend` and a message. It answers within the timeout also when the backend hangs.
 */
@Injectable()
export class KvHealthIndicator {
  constructor(@Inject(ModuleRef) private readonly moduleRef: ModuleRef) {}

  /**
   * @param key what to call the store in the report
   * @throws UnsupportedOperationError when @nestjs/terminus is not installed
   */
  async isHealthy<const Key extends string = 'kv'>(
    key: Key = 'kv' as Key,
    { name, timeout }: KvHealthOptions = {},
  ): Promise<HealthIndicatorResult<Key>> {
    const store: KeyValueStore = this.moduleRef.get(getKvToken(name), { strict: false });
    const { backend } = store.getAdapter();
    return reportHealth({
      key,
      what: `The key-value store on ${backend}`,
      timeout,
      figures: { backend },
      probe: async () => ({ figures: { latencyMs: Math.round((await store.ping()) * 100) / 100 } }),
    });
  }
}
