import { InvalidArgumentError, messageOf } from '@nestbox/core';
import { Cron } from 'croner';

/**
 * When a cron expression is due next, in ms since 1970.
 *
 * @throws InvalidArgumentError for an expression or a time zone that cannot be read, or that is never due again
 */
export function nextTime(cron: string, timezone: string, afterMs: number): number {
  let next: Date | null;
  try {
    next = new Cron(cron, { timezone, paused: true }).nextRun(new Date(afterMs));
  } catch (error) {
    throw new InvalidArgumentError('cron', `"${cron}" in ${timezone}: ${messageOf(error)}`, { cause: error });
  }
  if (next === null) throw new InvalidArgumentError('cron', `"${cron}" is never due again.`);
  return next.getTime();
}
