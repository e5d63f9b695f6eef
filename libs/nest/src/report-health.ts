import {
  TimeoutError,
  UnsupportedOperationError,
  messageOf,
  parseDuration,
  type Duration,
} from '@nestbox/core';
import type { HealthIndicatorResult } from '@nestjs/terminus';

/** What a probe found out. */
export interface HealthFindings {
  /** Why it limps, as a sentence; it is then reported as degraded. */
  problem?: string;
  /** Figures worth reading. */
  figures: Record<string, unknown>;
}

/** What is checked, and how the outcome is reported. */
export interface HealthProbe<Key extends string> {
  /** What to call it in the report. */
  key: Key;
  /** What did not answer, for the message about the timeout. */
  what: string;
  /** How long the probe may take. Default: 1 s. */
  timeout?: Duration;
  /** Figures that are known also when it is down. */
  figures?: Record<string, unknown>;
  /** Makes a real round trip; what it throws means `down`. */
  probe: (timeoutMs: number) => Promise<HealthFindings>;
}

/**
 * Makes a report for Terminus: `up`, `degraded` or `down` with figures, within the timeout also when the probe hangs.
 *
 * @throws UnsupportedOperationError when @nestjs/terminus is not installed; InvalidArgumentError for the timeout
 */
export async function reportHealth<Key extends string>({
  key,
  what,
  timeout = 1000,
  figures: known = {},
  probe,
}: HealthProbe<Key>): Promise<HealthIndicatorResult<Key>> {
  const timeoutMs = parseDuration(timeout, 'timeout');
  const { HealthIndicatorService } = await loadTerminus();
  const indicator = new HealthIndicatorService().check(key);
  try {
    const { problem, figures } = await within(probe(timeoutMs), timeoutMs, what);
    if (problem === undefined) return indicator.up({ ...known, ...figures });
    const data = { message: problem, ...known, ...figures };
    // Terminus 11 knows no `degraded`.
    return 'degraded' in indicator ? indicator.degraded(data) : up(indicator, data);
  } catch (error) {
    return indicator.down({ ...known, message: messageOf(error) });
  }
}

function up<Result>(
  indicator: { up(data: Record<string, unknown>): Result },
  data: Record<string, unknown>,
): Result {
  return indicator.up(data);
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
