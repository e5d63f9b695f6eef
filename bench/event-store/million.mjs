import { createEventStore } from '@nestbox/event-store';
import { interleave, summarise } from '../lib/interleave.mjs';
import { fill } from './catch-up.mjs';
import { ask, withDatabase } from './databases.mjs';
import { itemAdded } from './workload.mjs';

const SHORT = 'nestbox, short log';
/** Of the rate with a short log; the rest is noise and a cache that holds the short log only. */
const TARGET = 0.8;
const PER_STREAM = 50;
const APPEND_STREAMS = 5_000;

/** The same store with a long log and a short one: how long the log is must not matter. */
export async function runMillion({ serverUrl, settings, only, log, report }) {
  const { events, window, rounds } = settings.million;
  const long = events.toLocaleString('en-US');
  const cases = [
    { name: `million: append 1 event, 20 callers`, operation: 'append', callers: 20, unit: 'calls/s' },
    { name: `million: watermark, 1 caller`, operation: 'watermark', callers: 1, unit: 'calls/s' },
    {
      name: `million: read a stream of ${PER_STREAM}, 1 caller`,
      operation: 'read',
      callers: 1,
      unit: 'calls/s',
    },
    { name: `million: catch-up of ${window.toLocaleString('en-US')} events, reactor`, operation: 'catchUp' },
  ].filter(({ name }) => name.includes(only));
  if (cases.length === 0) return;
  await withDatabase(serverUrl, (longUrl) =>
    withDatabase(serverUrl, async (shortUrl) => {
      log(`a log of ${long} events …`);
      const sides = [];
      try {
        sides.push(await openLog('nestbox', longUrl, events), await openLog(SHORT, shortUrl, window));
        for (const { name, operation, callers, unit } of cases) {
          log(`${name} …`);
          const results =
            operation === 'catchUp'
              ? await catchUps(sides, rounds, window)
              : await interleave({
                  sides: sides.map((side) => ({ name: side.name, operation: side[operation] })),
                  callers,
                  ...settings,
                });
          report.cases.push({ name, unit: unit ?? 'events/s', sides: results, targets: { [SHORT]: TARGET } });
          if (operation === 'watermark') {
            const times = results.map(({ side, median }) => `${side}: ${(1000 / median).toFixed(2)} ms`);
            report.notes.push(`The watermark with ${long} events and with a short log: ${times.join(', ')}.`);
          }
        }
        for (const side of sides) await side.check(report);
        report.notes.push(
          `"million" is a log of ${long} events beside one of ${window.toLocaleString('en-US')}; what the appends of this run add is about the same in both.`,
        );
      } finally {
        for (const side of sides) await side.close();
      }
    }),
  );
}

/** A store with so many events, and what is measured of it. */
async function openLog(name, url, events) {
  const store = createEventStore(url);
  await store.init();
  const streams = Math.ceil(events / PER_STREAM);
  await fill(store, events, { perCall: PER_STREAM, streams });
  await ask(url, 'vacuum analyze');
  let appended = 0;
  let consumers = 0;
  return {
    name,
    async append(i) {
      await store.appendToStream(`new-${i % APPEND_STREAMS}`, [itemAdded(i)]);
      appended++;
    },
    watermark: () => store.backend.watermark(),
    async read(i) {
      const read = await store.readStream(`cart-${(i * 7_919) % streams}`);
      if (read.events.length !== PER_STREAM)
        throw new Error(`${read.events.length} events instead of ${PER_STREAM}`);
    },
    /** From the middle of a long log, from the beginning of a short one. */
    async catchUp(window) {
      const position = BigInt(Math.floor((events - window) / 2));
      const consumer = store.consumer();
      let handled = 0;
      const done = {};
      done.promise = new Promise((resolve) => {
        done.resolve = resolve;
      });
      consumer.reactor({
        processorId: `window-${consumers++}`,
        startFrom: { position },
        eachMessage() {
          if (++handled === window) done.resolve(performance.now());
        },
      });
      const start = performance.now();
      const running = consumer.start();
      const ms = (await done.promise) - start;
      await consumer.stop();
      await running;
      return ms;
    },
    async check(report) {
      const { count } = await ask(url, 'select count(*) from event_store.emt_messages');
      if (Number(count) !== events + appended) {
        report.failures.push(`${name}: ${count} events instead of ${events + appended}`);
      }
    },
    close: () => store.close(),
  };
}

async function catchUps(sides, rounds, window) {
  const samples = new Map(sides.map(({ name }) => [name, []]));
  for (let round = 0; round <= rounds; round++) {
    for (let i = 0; i < sides.length; i++) {
      const side = sides[(round + i) % sides.length];
      globalThis.gc?.();
      const ms = await side.catchUp(window);
      if (round > 0) samples.get(side.name).push((window * 1000) / ms);
    }
  }
  return summarise(samples);
}
