import { Workflow, createWorkflows } from '@nestbox/workflows';
import { nothing } from './workload.mjs';

/** In plain JavaScript, which has no decorators. */
class Three {
  constructor(middle) {
    this.middle = middle;
  }

  async run(ctx, { i }) {
    const a = await ctx.step('a', async () => i);
    const b = await ctx.step('b', async () => this.middle());
    const c = await ctx.step('c', async () => 2);
    return a + b + c;
  }
}
Workflow({ name: 'bench.three' })(Three);

/** Everything at its defaults but the number of runs at once, which is that of the callers. */
export const nestbox = {
  name: 'nestbox',
  async open(url, { concurrency = 10, works = true, middle = nothing } = {}) {
    const workflows = createWorkflows(url, { workflows: [new Three(middle)], concurrency });
    await workflows.init();
    if (works) await workflows.startWorker();
    return {
      name: 'nestbox',
      url,
      async run(input) {
        const handle = await workflows.start(Three, input);
        return handle.result();
      },
      enqueue: (input) => workflows.start(Three, input),
      work: async () => {},
      rest: async () => {},
      table: 'workflows.workflow_runs',
      isCompleted: `status = 'completed'`,
      close: () => workflows.close(),
    };
  },
};
