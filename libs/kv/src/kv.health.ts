import {
  TimeoutError,
  UnsupportedOperationError,
  messageOf,
  parseDuration,
  type Duration,
} from '@nestbox/core';
import { Inject, Injectable } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import type { HealthIndicatorResult } from '@nestjs/terminus';
import type { KeyValueStore } from './key-value-store.js';
import { getKvToken } from './kv.tokens.js';

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
    { name, timeout = 1000 }: KvHealthOptions = {},
  ): Promise<HealthIndicatorResult<Key>> {
    const timeoutMs = parseDuration(timeout, 'timeout');
    const { HealthIndicatorService } = await loadTerminus();
    const indicator = new HealthIndicatorService().check(key);
    const store: KeyValueStore = this.moduleRef.get(getKvToken(name), { strict: false });
    const { backend } = store.getAdapter();
    try {
      const latencyMs = await within(store.ping(), timeoutMs, `The key-value store on ${backend}`);
      return indicator.up({ backend, latencyMs: Math.round(latencyMs * 100) / 100 });
    } catch (error) {
      return indicator.down({ backend, message: messageOf(error) });
    }
  }
}

async function within<R>(promise: Promise<R>, timeoutMs: number, what: string): Promise<R> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new TimeoutError(what, timeoutMs)), timeoutMs);
  });
  try {
    return await Promise.race([promise, timeout]);
  } finally {
    clearTimeout(timer);
  }
}

/** Terminus is optional: loaded when the first check is made, not with this module. */
async function loadTerminus(): Promise<typeof import('@nestjs/terminus')> {
  try {
    return await import('@nestjs/terminus');
  } catch (error) {
    throw new UnsupportedOperationError(
      'A health check',
      'an application without Terminus',
      `Run npm install @nestjs/terminus (${messageOf(error)}).`,
    );
  }
}
