import { randomBytes } from 'node:crypto';
import { messageOf } from '@nestbox/core';
import type { Postgres } from '@nestbox/postgres';
import { formatMs } from '../output/format.js';
import { ok, problem, warning, type Finding } from './finding.js';

const CHECK = 'postgres.listen';
const PATIENCE_MS = 3_000;
const SLOW_MS = 500;
const ADVICE =
  'Without it, others are heard of by polling only (1 s). Behind PgBouncer in transaction mode, give a direct connection as listenUrl.';

/** Sends a notification and waits for it. */
export async function listenRoundTrip(postgres: Postgres): Promise<Finding> {
  const channel = `nestbox_doctor_${randomBytes(6).toString('hex')}`;
  const listening = new Signal();
  const notified = new Signal();
  try {
    const subscription = await within(
      postgres.listen(
        channel,
        () => notified.give(),
        () => listening.give(),
      ),
    );
    if (subscription === undefined || (await within(listening.given)) === undefined) {
      return problem(CHECK, 'LISTEN was not answered', ADVICE);
    }
    const start = performance.now();
    await postgres.query('select pg_notify($1, $2)', [channel, 'doctor']);
    if ((await within(notified.given)) === undefined) {
      return problem(CHECK, `a notification did not come within ${formatMs(PATIENCE_MS)}`, ADVICE);
    }
    const ms = performance.now() - start;
    const text = `a notification came back in ${formatMs(ms)}`;
    if (ms <= SLOW_MS) return ok(CHECK, text);
    return warning(CHECK, text, 'Look for a server under load, or a long way to it.');
  } catch (error) {
    return problem(CHECK, `LISTEN failed: ${messageOf(error)}`, ADVICE);
  }
}

/** A promise that somebody else resolves. */
class Signal {
  give!: () => void;
  readonly given = new Promise<true>((resolve) => {
    this.give = () => resolve(true);
  });
}

/** Undefined when it takes too long. */
async function within<T>(promise: Promise<T>): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), PATIENCE_MS);
  });
  promise.catch(() => undefined);
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
