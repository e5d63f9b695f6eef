import { setTimeout as sleep } from 'node:timers/promises';

/** How many publishes may be under way; both sides keep to it. */
const IN_FLIGHT = 50;
const FILLER = 'x'.repeat(200);

/** Does what the parent asks for: `{ burst: count }` publishes at once, `{ trickle: count, intervalMs }` in turns. */
export function serve({ port, publish }) {
  const obey = async ({ burst, trickle, intervalMs }) => {
    if (burst !== undefined) await publishBurst(publish, burst);
    if (trickle !== undefined) await publishTrickle(publish, trickle, intervalMs);
    process.send({ published: true });
  };
  process.on('message', (order) => void obey(order));
  process.on('disconnect', () => process.exit(0));
  process.send({ port });
}

async function publishBurst(publish, count) {
  let next = 0;
  const caller = async () => {
    while (next < count) {
      await publish({ i: next++, at: 0, filler: FILLER });
      // A publish that is over at once must not keep the sockets from being written to.
      if (next % IN_FLIGHT === 0) await new Promise(setImmediate);
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, caller));
}

async function publishTrickle(publish, count, intervalMs) {
  const start = performance.now();
  for (let i = 0; i < count; i++) {
    await sleep(Math.max(0, start + i * intervalMs - performance.now()));
    await publish({ i, at: performance.timeOrigin + performance.now(), filler: FILLER });
  }
}
