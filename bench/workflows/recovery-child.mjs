// node recovery-child.mjs <side> <database url> <hang | go>
//
// A worker whose runs stop for good in their middle step, or one that goes on with them. The first kind starts a run.
import { nothing } from './workload.mjs';

const [name, url, mode] = process.argv.slice(2);
const { [name]: contender } = await import(`./${name}-side.mjs`);
const say = (message) => console.log(JSON.stringify(message));

const side = await contender.open(url, {
  concurrency: 10,
  async middle() {
    say({ type: 'step' });
    if (mode === 'hang') await new Promise(() => {});
    return nothing();
  },
});
await side.work();
say({ type: 'ready' });
if (mode === 'hang') await side.enqueue({ i: 1 });
// A process that waits for nothing but a promise ends.
setInterval(nothing, 60_000);
