import { setTimeout as sleep } from 'node:timers/promises';
import { quantile } from '../lib/statistics.mjs';
import { withSides } from './sides.mjs';
import { itemAdded } from './workload.mjs';

const INTERVAL_MS = 50;
/** Long enough for a poller to have settled on its pace. */
const WARM_UP = 60;
const GIVE_UP_MS = 10_000;
/** What p50 from the call of append may be, in ms. */
const TARGET_MS = 10;

/** From an append to the handler of a consumer that has caught up, an event every 50 ms or so. */
export async function runLatency({ serverUrl, settings: { latency }, only, log, report }) {
  if (!'delivery latency'.includes(only)) return;
  log('delivery latency …');
  await withSides(serverUrl, async (sides) => {
    const samples = new Map(sides.map(({ name }) => [name, { called: [], appended: [] }]));
    for (let round = 0; round < latency.rounds; round++) {
      for (let i = 0; i < sides.length; i++) {
        const side = sides[(round + i) % sides.length];
        const { called, appended } = await trickle(side, round, latency.events, report);
        samples.get(side.name).called.push(...called);
        samples.get(side.name).appended.push(...appended);
      }
    }
    for (const [name, { called, appended }] of samples) report.notes.push(describe(name, called, appended));
  });
}

async function trickle(side, round, count, report) {
  const total = WARM_UP + count;
  const [calledAt, appendedAt, handledAt] = [[], [], []];
  let handled = 0;
  const done = {};
  done.promise = new Promise((resolve) => {
    done.resolve = resolve;
  });
  const stop = await side.listen(({ data: { i, trickle: of } }) => {
    // From the end of the log on, Emmett delivers what is behind its first event.
    if (of !== round) return;
    handledAt[i] = performance.now();
    if (++handled === total) done.resolve();
  });
  const start = performance.now();
  for (let i = 0; i < total; i++) {
    // Not in step with anybody's poll.
    await sleep(Math.max(0, start + i * INTERVAL_MS + ((i * 7) % 20) - 10 - performance.now()));
    const event = itemAdded(i);
    calledAt[i] = performance.now();
    await side.plain.appendToStream(`trickle-${i % 50}`, [
      { ...event, data: { ...event.data, i, trickle: round } },
    ]);
    appendedAt[i] = performance.now();
  }
  await Promise.race([done.promise, sleep(GIVE_UP_MS, undefined, { ref: false })]);
  await stop();
  if (handled !== total) report.failures.push(`${side.name}: ${handled} of ${total} events were delivered`);
  const since = (times) => handledAt.map((at, i) => at - times[i]).slice(WARM_UP);
  return { called: since(calledAt), appended: since(appendedAt) };
}

function describe(name, called, appended) {
  const p50 = quantile(called, 0.5);
  const verdict =
    name === 'nestbox' ? `; target p50 <= ${TARGET_MS} ms ${p50 <= TARGET_MS ? 'met' : 'MISSED'}` : '';
  return (
    `Delivery latency, an event every ${INTERVAL_MS} ms, ${name}: from the call of append ${quantiles(called)}; ` +
    `from when append resolved ${quantiles(appended)} (${called.length} events)${verdict}.`
  );
}

function quantiles(all) {
  return `p50 ${quantile(all, 0.5).toFixed(1)} ms, p99 ${quantile(all, 0.99).toFixed(1)} ms`;
}
