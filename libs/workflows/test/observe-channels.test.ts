import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { eventually } from '@nestbox/testing';
import {
  MemoryWorkflowBackend,
  Workflow,
  createWorkflows,
  type WorkflowContext,
  type WorkflowService,
} from '@nestbox/workflows';

@Workflow({ name: 'checkout' })
class Checkout {
  private tries = 0;

  async run(context: WorkflowContext, order: string): Promise<string> {
    const charge = await context.step('charge', { retries: 1, backoff: { base: 1 } }, () => {
      if (++this.tries === 1) throw new Error('declined');
      return `paid ${order}`;
    });
    await context.waitForSignal('packed');
    await context.transaction('ship', () => undefined);
    return charge;
  }
}

@Workflow({ name: 'broken' })
class Broken {
  async run(context: WorkflowContext): Promise<void> {
    await context.step('reserve', { compensate: () => undefined }, () => undefined);
    throw new Error('out of stock');
  }
}

const CHANNELS = ['run:start', 'run:end', 'step:start', 'step:end'];

/** What is published, as the name of the channel and the message. */
class Listener implements Disposable {
  readonly heard: [string, Record<string, unknown>][] = [];
  private readonly handlers = CHANNELS.map(
    (name) => [`nestbox:workflows:${name}`, (message: unknown) => this.hear(name, message)] as const,
  );

  constructor() {
    for (const [name, handler] of this.handlers) subscribe(name, handler);
  }

  [Symbol.dispose](): void {
    for (const [name, handler] of this.handlers) unsubscribe(name, handler);
  }

  private hear(name: string, message: unknown): void {
    this.heard.push([name, message as Record<string, unknown>]);
  }
}

let workflows: WorkflowService;
beforeEach(async () => {
  workflows = createWorkflows(new MemoryWorkflowBackend(), { workflows: [new Checkout(), new Broken()] });
  await workflows.startWorker();
});
afterEach(() => workflows.close());

describe('the channels of node:diagnostics_channel', () => {
  it('tell when a run begins, is parked, goes on and ends, and of each try of its steps', async () => {
    using listener = new Listener();
    const handle = await workflows.start(Checkout, 'A7', { id: 'one' });
    await eventually(() => expect(listener.heard.at(-1)).toMatchObject(['run:end', { end: 'parked' }]));
    await handle.signal('packed');
    expect(await handle.result()).toBe('paid A7');

    const run = { runId: 'one', workflow: 'checkout' };
    const charge = { ...run, stepName: 'charge', kind: 'step' };
    const ship = { ...run, stepName: 'ship', kind: 'transaction', attempt: 1 };
    const durationMs = expect.any(Number);
    expect(listener.heard).toEqual([
      ['run:start', { ...run, isResumed: false }],
      ['step:start', { ...charge, attempt: 1 }],
      [
        'step:end',
        { ...charge, attempt: 1, durationMs, error: expect.objectContaining({ message: 'declined' }) },
      ],
      ['step:start', { ...charge, attempt: 2 }],
      ['step:end', { ...charge, attempt: 2, durationMs, error: undefined }],
      ['run:end', { ...run, isResumed: false, end: 'parked', durationMs, error: undefined }],
      ['run:start', { ...run, isResumed: true }],
      ['step:start', ship],
      ['step:end', { ...ship, durationMs, error: undefined }],
      ['run:end', { ...run, isResumed: true, end: 'completed', durationMs, error: undefined }],
    ]);
  });

  it('tell what a run failed with, and of what is undone', async () => {
    using listener = new Listener();
    const handle = await workflows.start(Broken, undefined);
    await expect(handle.result()).rejects.toMatchObject({ code: 'RUN_FAILED' });
    const steps = listener.heard.filter(([name]) => name === 'step:start');
    expect(steps.map(([, { stepName, kind }]) => [stepName, kind])).toEqual([
      ['reserve', 'step'],
      ['undo:reserve', 'compensation'],
    ]);
    const error = expect.objectContaining({ message: 'out of stock' });
    expect(listener.heard.at(-1)).toMatchObject(['run:end', { end: 'failed', error }]);
  });

  it('are heard from then on when somebody subscribes while a run is under way', async () => {
    const handle = await workflows.start(Checkout, 'A7');
    await eventually(async () => expect(await handle.status()).toBe('suspended'));
    using listener = new Listener();
    await handle.signal('packed');
    await handle.result();
    expect(listener.heard.map(([name]) => name)).toEqual(['run:start', 'step:start', 'step:end', 'run:end']);
  });
});
