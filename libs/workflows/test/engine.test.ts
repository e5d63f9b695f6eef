import { testDatabase } from '@nestbox/testing';
import { Workflow, createWorkflows, type WorkflowContext } from '@nestbox/workflows';

@Workflow({ name: 'three' })
class Three {
  async run(context: WorkflowContext, input: { n: number }): Promise<number> {
    const a = await context.step('a', () => input.n);
    const b = await context.step('b', async () => a + 1);
    return context.step('c', () => b * 2);
  }
}

describe('an engine on PostgreSQL', () => {
  it('runs three steps', async () => {
    const database = await testDatabase();
    const workflows = createWorkflows(database.url, { workflows: [new Three()] });
    await workflows.init();
    await workflows.startWorker();
    const handle = await workflows.start(Three, { n: 3 });
    expect(await handle.result()).toBe(8);
    expect(await handle.status()).toBe('completed');
    const begin = performance.now();
    for (let i = 0; i < 200; i++) await (await workflows.start(Three, { n: 3 })).result();
    const one = performance.now();
    await Promise.all(
      Array.from({ length: 100 }, async () => {
        for (let i = 0; i < 30; i++) await (await workflows.start(Three, { n: i })).result();
      }),
    );
    const end = performance.now();
    console.error((one - begin) / 200, 'ms each;', 3_000 / ((end - one) / 1000), 'runs/s');
    await workflows.close();
  });
});
