import { summarise } from '../lib/interleave.mjs';
import { ask } from './databases.mjs';
import { withSides } from './sides.mjs';
import { itemsAdded } from './workload.mjs';

const TARGET = 20;
const STREAMS = 5_000;
const CALLERS = 100;

/**
 * A consumer that starts behind a log: events per second from its start on. Both logs are equally long; Emmett, which
 * reads 100 events at a time and pauses in between, is watched for a part of it.
 */
export async function runCatchUp({ serverUrl, settings: { catchUp }, only, log, report }) {
  const kinds = ['reactor', 'projector'].filter((kind) => nameOf(kind, catchUp).includes(only));
  if (kinds.length === 0) return;
  await withSides(serverUrl, async (sides) => {
    log(`a log of ${catchUp.events.toLocaleString('en-US')} events for the consumers …`);
    for (const side of sides) await fill(side.plain, catchUp.events);
    for (const { url } of sides) await ask(url, 'vacuum analyze');
    for (const kind of kinds) {
      log(`${nameOf(kind, catchUp)} …`);
      report.cases.push(await measure(sides, kind, catchUp, report));
      report.notes.push(
        `${nameOf(kind, catchUp)}: Emmett was watched for the first ${catchUp.emmettEvents[kind].toLocaleString('en-US')} events of its log.`,
      );
    }
  });
}

function nameOf(kind, { events }) {
  return `catch-up of ${events.toLocaleString('en-US')} events, ${kind}`;
}

async function measure(sides, kind, { rounds, events, emmettEvents }, report) {
  const samples = new Map(sides.map(({ name }) => [name, []]));
  for (let round = 0; round <= rounds; round++) {
    for (let i = 0; i < sides.length; i++) {
      const side = sides[(round + i) % sides.length];
      const wanted = side.name === 'nestbox' ? events : emmettEvents[kind];
      const name = `${kind}_${round}`;
      globalThis.gc?.();
      const { ms, handled } = await side.catchUp({ kind, name, events: wanted });
      const done = kind === 'reactor' ? handled : await side.countProjected(name);
      // Emmett may have handled more by the time it has stopped.
      if (done < wanted || (side.name === 'nestbox' && done !== wanted)) {
        report.failures.push(`${side.name}: ${kind} handled ${done} events instead of ${wanted}`);
      }
      if (round > 0) samples.get(side.name).push((wanted * 1000) / ms);
    }
  }
  return {
    name: nameOf(kind, { events }),
    unit: 'events/s',
    sides: summarise(samples),
    targets: { emmett: TARGET },
  };
}

/** Two events per call, spread over the streams, so that neighbours in the log belong to different documents. */
export async function fill(store, events, { perCall = 2, streams = STREAMS } = {}) {
  let next = 0;
  const caller = async () => {
    while (next * perCall < events) {
      const i = next++;
      await store.appendToStream(`cart-${i % streams}`, itemsAdded(i * perCall, perCall));
    }
  };
  await Promise.all(Array.from({ length: CALLERS }, caller));
}
