import type { Postgres } from '@nestbox/postgres';
import { formatMs } from '../output/format.js';
import { ok, warning, type Finding } from './finding.js';

const TRIES = 5;
const NOTABLE_MS = 1_000;

/** How far the clock of this machine is from the server's. */
export async function clock(postgres: Postgres, now: () => number = Date.now): Promise<Finding> {
  let best = { tookMs: Infinity, aheadMs: 0 };
  for (let i = 0; i < TRIES; i++) {
    const before = now();
    const [row] = await postgres.query('select (extract(epoch from clock_timestamp()) * 1000)::float8 as ms');
    const tookMs = now() - before;
    // The server read its clock somewhere in between; the faster it answered, the better that is known.
    if (tookMs < best.tookMs) best = { tookMs, aheadMs: before + tookMs / 2 - Number(row!['ms']) };
  }
  const difference = Math.abs(best.aheadMs);
  const side = best.aheadMs > 0 ? 'ahead of' : 'behind';
  const text = `this machine is ${formatMs(difference)} ${side} the server, give or take ${formatMs(best.tookMs / 2)}`;
  if (difference - best.tookMs / 2 <= NOTABLE_MS) return ok('postgres.clock', text);
  return warning(
    'postgres.clock',
    text,
    'Deadlines are decided by the clock of the server, so nothing breaks, but times in logs do not match: run an NTP client on both.',
  );
}
