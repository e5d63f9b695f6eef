import { eventually } from '@nestbox/testing';
import { Workflow, WorkflowService, type WorkflowContext } from '../src/index.js';
import { MemoryWorkflowBackend } from '../src/memory/memory.workflow-backend.js';
import { VirtualClock } from '../src/memory/virtual-clock.js';

@Workflow({ name: 'child' })
class Child {
  async run(context: WorkflowContext): Promise<string> {
    return context.waitForSignal<string>('go');
  }
}

@Workflow({ name: 'parent' })
class Parent {
  async run(context: WorkflowContext, input: { at: Date }): Promise<unknown> {
    const year = await context.step('year', () => input.at.getUTCFullYear());
    await context.sleep('night', '12h');
    return { year, child: await context.child(Child, undefined, { id: 'the child' }) };
  }
}

describe('engines on one memory backend', () => {
  it('are to each other what several processes are', async () => {
    const clock = new VirtualClock();
    const backend = new MemoryWorkflowBackend({ clock });
    const engines = [0, 1].map(
      () => new WorkflowService(backend, { workflows: [new Parent(), new Child()] }),
    );
    for (const engine of engines) await engine.startWorker();
    const handle = await engines[0]!.start(Parent, { at: new Date(0) });
    await eventually(async () => expect(await handle.status()).toBe('suspended'));

    // The one that began it is gone.
    await engines[0]!.close();
    clock.skip(12 * 3_600_000);
    const later = engines[1]!.get(handle.id);
    await eventually(async () => expect(await backend.get(['the child'])).toHaveLength(1));
    await engines[1]!.get('the child').signal('go', 'went');
    expect(await later.result()).toEqual({ year: 1970, child: 'went' });
    await engines[1]!.close();
  });
});
