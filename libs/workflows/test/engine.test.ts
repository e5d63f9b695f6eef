import { eventually, testDatabase } from '@nestbox/testing';
import { Workflow, createWorkflows, type StepContext, type WorkflowContext } from '@nestbox/workflows';

interface Charge {
  id: string;
}

const payments = {
  charge: async (amount: number, { idempotencyKey }: StepContext): Promise<Charge> => ({
    id: `${idempotencyKey}:${amount}`,
  }),
  refund: async (charge: Charge): Promise<string> => charge.id,
};

@Workflow({ name: 'three' })
class Three {
  async run(context: WorkflowContext, input: { n: number }): Promise<number> {
    const a = await context.step('a', () => input.n);
    // Both functions are written without types, as one would.
    const charge = await context.step('b', { retries: 2, compensate: (c) => payments.refund(c) }, (step) =>
      payments.charge(a, step),
    );
    return context.step('c', () => charge.id.length + a);
  }
}

describe('workflows without Nest', () => {
  it('connect by a URL of their own, and run what is started', async () => {
    const database = await testDatabase();
    const workflows = createWorkflows(database.url, { workflows: [new Three()] });
    try {
      await workflows.startWorker();
      const handles = await Promise.all(
        Array.from({ length: 300 }, (_, n) => workflows.start(Three, { n }, { id: `run-${n}` })),
      );
      const results = await Promise.all(handles.map((handle) => handle.result()));
      expect(results).toEqual(handles.map(({ id }, n) => `${id}/b:${n}`.length + n));
      expect(await workflows.counts()).toEqual({ three: { completed: 300 } });
      const steps = await handles[7]!.steps();
      expect(steps.map(({ name, status }) => [name, status])).toEqual([
        ['a', 'done'],
        ['b', 'done'],
        ['c', 'done'],
      ]);
    } finally {
      await workflows.close();
      await database.drop();
    }
  });

  it('delete runs whose retention is over, with their steps, and no others', async () => {
    const database = await testDatabase();
    const workflows = createWorkflows(database.url, { workflows: [new Three()], retention: '1ms' });
    try {
      await workflows.startWorker();
      const done = await workflows.start(Three, { n: 1 });
      const later = await workflows.start(Three, { n: 2 }, { delay: '1h' });
      await done.result();
      await eventually(() => expect(done.status()).rejects.toMatchObject({ code: 'RUN_NOT_FOUND' }));
      expect(await done.steps()).toEqual([]);
      expect(await later.status()).toBe('suspended');
    } finally {
      await workflows.close();
      await database.drop();
    }
  });
});
