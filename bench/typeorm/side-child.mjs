// One side in this process: node side-child.mjs <kind> <url>. The parent sends { id, method, args }.
import { runSlice } from '../lib/interleave.mjs';

const OPEN = {
  run: async (url) => (await import('./plain-sides.mjs')).openRun(url),
  typeorm: async (url) => (await import('./plain-sides.mjs')).openTypeOrm(url),
  nestbox: async (url) => (await import('./nestbox-app.mjs')).openNestbox(url),
  glue: async (url) => (await import('./glue-side.mjs')).openGlue(url),
};

const [kind, url] = process.argv.slice(2);
const side = await OPEN[kind](url);
/** What every operation was called with. */
const called = new Map(Object.keys(side.operations).map((name) => [name, { calls: 0, most: 0 }]));

const METHODS = {
  slice: (name, callers, ms) => runSlice((i) => call(name, i), callers, ms),
  call,
  called: (name) => called.get(name),
  count: () => side.count(),
  close: () => side.close(),
};

async function call(name, i) {
  await side.operations[name](i);
  const seen = called.get(name);
  seen.calls++;
  seen.most = Math.max(seen.most, i + 1);
}

async function answer({ id, method, args }) {
  try {
    const result = await METHODS[method](...args);
    process.send({ id, result });
  } catch (error) {
    process.send({ id, error: `${side.name}, ${method}: ${error.stack}` });
  }
}

process.on('message', (message) => void answer(message));
// The parent has closed it, or is gone.
process.on('disconnect', () => process.exit());
process.send({ id: 0, result: side.name });
