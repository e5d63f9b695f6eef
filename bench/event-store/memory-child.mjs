// Reads a long stream or log from end to end, and tells the most memory that was in use meanwhile.
import { openEmmett } from './emmett-side.mjs';
import { openNestbox } from './nestbox-side.mjs';

const [, , url, way] = process.argv;
const STREAM = 'history-1';

const side = await (way.startsWith('emmett') ? openEmmett(url) : openNestbox(url));
const { plain } = side;
const read = {
  streamEvents: () => plain.streamEvents(STREAM),
  readAll: () => plain.readAll(),
  'emmett readStream': async function* () {
    const { events } = await plain.readStream(STREAM);
    yield* events;
  },
}[way];

// Connections and code are there before anything is measured.
await plain.readStream(STREAM, { from: 1n, to: 10n });
globalThis.gc();
const baseline = inUse();
// Once as it is, with what is garbage but not collected yet; and once without it.
const { events, peak } = await watch(100, inUse);
const { peak: live } = await watch(2_000, () => {
  globalThis.gc();
  return inUse();
});
await side.close();
console.log(JSON.stringify({ events, peak: peak - baseline, live: live - baseline }));

async function watch(every, look) {
  let most = 0;
  let count = 0;
  for await (const event of read()) {
    if (event.data.productItem.quantity < 1) throw new Error('not an event of ours');
    if (++count % every === 0) most = Math.max(most, look());
  }
  return { events: count, peak: most };
}

function inUse() {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
