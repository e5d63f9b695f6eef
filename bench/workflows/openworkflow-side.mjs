import { OpenWorkflow } from 'openworkflow';
import { BackendPostgres } from 'openworkflow/postgres';
import { nothing } from './workload.mjs';

/**
 * OpenWorkflow as its documentation sets it up: one backend with the default pool (of ten connections, postgres.js'
 * default) for the client and a worker in the same process. The worker has as many slots as there are callers: each
 * free one asks for work at every poll, so that more would only cost it. How it polls is not configurable: a worker
 * every 0.1 to 1 s while there is nothing to do, `result()` every second.
 */
export const openworkflow = {
  name: 'openworkflow',
  async open(url, { concurrency = 10, works = true, middle = nothing } = {}) {
    const backend = await BackendPostgres.connect(url);
    const ow = new OpenWorkflow({ backend });
    const three = ow.defineWorkflow({ name: 'bench-three' }, async ({ input, step }) => {
      const a = await step.run({ name: 'a' }, async () => input.i);
      const b = await step.run({ name: 'b' }, async () => middle());
      const c = await step.run({ name: 'c' }, async () => 2);
      return a + b + c;
    });
    const worker = works ? ow.newWorker({ concurrency }) : undefined;
    return {
      name: 'openworkflow',
      url,
      async run(input) {
        const handle = await three.run(input);
        return handle.result();
      },
      enqueue: (input) => three.run(input),
      // An idle worker asks once per slot and poll, which would slow the others down.
      work: () => worker?.start(),
      rest: () => worker?.stop(),
      table: 'openworkflow.workflow_runs',
      isCompleted: `status in ('completed', 'succeeded')`,
      async close() {
        await worker?.stop();
        await backend.stop();
      },
    };
  },
};
