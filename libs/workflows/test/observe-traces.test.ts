import { eventually } from '@nestbox/testing';
import {
  MemoryWorkflowBackend,
  Workflow,
  createWorkflows,
  type WorkflowContext,
  type WorkflowService,
} from '@nestbox/workflows';
import { SpanKind, SpanStatusCode, context, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
  type ReadableSpan,
} from '@opentelemetry/sdk-trace-base';

const exporter = new InMemorySpanExporter();
/** Asked for anew each time, since one that was had keeps its provider. */
const tracer = () => trace.getTracer('test');

@Workflow({ name: 'note' })
class Note {
  async run(run: WorkflowContext): Promise<void> {
    await run.step('write', () => undefined);
  }
}

@Workflow({ name: 'checkout' })
class Checkout {
  private tries = 0;

  async run(run: WorkflowContext, order: string): Promise<string> {
    const charge = await run.step('charge', { retries: 1, backoff: { base: 1 } }, async () => {
      await new Promise(setImmediate);
      // As an instrumented HTTP client does.
      tracer().startSpan('POST /charges').end();
      if (++this.tries === 1) throw new TypeError('declined');
      return `paid ${order}`;
    });
    await run.waitForSignal('packed');
    await run.child(Note, undefined);
    return charge;
  }
}

@Workflow({ name: 'broken' })
class Broken {
  async run(run: WorkflowContext): Promise<void> {
    await run.step('reserve', { compensate: () => undefined }, () => undefined);
    throw new Error('out of stock');
  }
}

@Workflow({ name: 'patient' })
class Patient {
  async run(run: WorkflowContext): Promise<void> {
    await run.waitForSignal('never');
  }
}

let workflows: WorkflowService;
beforeEach(async () => {
  const all = [new Checkout(), new Note(), new Broken(), new Patient()];
  workflows = createWorkflows(new MemoryWorkflowBackend(), { workflows: all });
  await workflows.startWorker();
});
afterEach(async () => {
  await workflows.close();
  exporter.reset();
  trace.disable();
  context.disable();
});

function provide(): void {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager());
  trace.setGlobalTracerProvider(
    new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }),
  );
}

const named = (name: string): ReadableSpan[] =>
  exporter.getFinishedSpans().filter((span) => span.name === name);
const idOf = (span: ReadableSpan | undefined): string | undefined => span?.spanContext().spanId;
const parentOf = (span: ReadableSpan | undefined): string | undefined => span?.parentSpanContext?.spanId;

async function buy(): Promise<string> {
  const handle = await workflows.start(Checkout, 'A7', { id: 'one' });
  await eventually(async () => expect(await handle.status()).toBe('suspended'));
  await handle.signal('packed');
  const result = await handle.result();
  // A run is over for whoever waits a moment before its execution is.
  await eventually(() => expect(workflows.activeRuns).toBe(0));
  return result;
}

describe('the spans of OpenTelemetry', () => {
  it('are in the trace of whoever starts a run, in each execution of it', async () => {
    provide();
    const traceId = await tracer().startActiveSpan('request', async (request) => {
      await buy();
      request.end();
      return request.spanContext().traceId;
    });
    const spans = exporter.getFinishedSpans();
    expect(new Set(spans.map((span) => span.spanContext().traceId))).toEqual(new Set([traceId]));

    const [request] = named('request');
    const [first, second] = named('checkout');
    expect([parentOf(first), parentOf(second)]).toEqual([idOf(request), idOf(request)]);
    expect(first).toMatchObject({
      kind: SpanKind.CONSUMER,
      links: [],
      attributes: {
        'nestbox.workflow': 'checkout',
        'nestbox.run.id': 'one',
        'nestbox.run.resumed': false,
        'nestbox.run.end': 'parked',
      },
    });
    expect(second).toMatchObject({
      attributes: { 'nestbox.run.resumed': true, 'nestbox.run.end': 'completed' },
      links: [{ context: { spanId: idOf(request) } }],
      status: { code: SpanStatusCode.UNSET },
    });
  });

  it('have one for each try of a step, with its error, within which its function runs', async () => {
    provide();
    await buy();
    const [execution] = named('checkout');
    const [failed, done] = named('charge');
    expect([parentOf(failed), parentOf(done)]).toEqual([idOf(execution), idOf(execution)]);
    expect(named('POST /charges').map(parentOf)).toEqual([idOf(failed), idOf(done)]);
    expect(failed).toMatchObject({
      attributes: { 'nestbox.step.name': 'charge', 'nestbox.step.kind': 'step', 'nestbox.step.attempt': 1 },
      status: { code: SpanStatusCode.ERROR, message: 'declined' },
      events: [{ name: 'exception', attributes: { 'exception.type': 'TypeError' } }],
    });
    expect(done).toMatchObject({
      attributes: { 'nestbox.step.attempt': 2 },
      status: { code: 0 },
      events: [],
    });
  });

  it('have the runs of children within those of their parents', async () => {
    provide();
    await buy();
    const [, execution] = named('checkout');
    const [child] = named('note');
    expect(parentOf(child)).toBe(idOf(execution));
    expect(parentOf(named('write')[0])).toBe(idOf(child));
  });

  it('begin a trace of their own where a run is started outside of any', async () => {
    provide();
    await buy();
    const [start] = named('start checkout');
    expect(start).toMatchObject({ kind: SpanKind.PRODUCER, attributes: { 'nestbox.run.id': 'one' } });
    expect(parentOf(start)).toBeUndefined();
    expect(named('checkout').map(parentOf)).toEqual([idOf(start), idOf(start)]);
  });

  it('show what a run failed with, and what was undone', async () => {
    provide();
    const handle = await workflows.start(Broken, undefined);
    await expect(handle.result()).rejects.toMatchObject({ code: 'RUN_FAILED' });
    const [execution] = named('broken');
    expect(execution).toMatchObject({
      status: { code: SpanStatusCode.ERROR, message: 'out of stock' },
      events: [{ name: 'exception' }],
    });
    expect(parentOf(named('undo:reserve')[0])).toBe(idOf(execution));
  });

  it('count a run that somebody has cancelled as no error', async () => {
    provide();
    const handle = await workflows.start(Patient, undefined);
    await eventually(() => expect(workflows.activeRuns).toBe(1));
    await handle.cancel();
    await eventually(() => expect(named('patient')).toHaveLength(1));
    expect(named('patient')[0]).toMatchObject({
      attributes: { 'nestbox.run.end': 'cancelled' },
      status: { code: SpanStatusCode.UNSET },
    });
  });

  it('have a new trace for a fork', async () => {
    provide();
    const handle = await workflows.start(Note, undefined);
    await handle.result();
    await (await handle.fork()).result();
    const [first, second] = named('note').map((span) => span.spanContext().traceId);
    expect(second).not.toBe(first);
    expect(named('start note')).toHaveLength(2);
  });

  it('are not there without a tracer provider, and nothing is stored then', async () => {
    const started = workflows.backend.start.bind(workflows.backend);
    const traceparents: unknown[] = [];
    workflows.backend.start = (run) => {
      traceparents.push(run.traceparent);
      return started(run);
    };
    expect(await buy()).toBe('paid A7');
    expect(traceparents).toEqual([undefined, undefined]);
    expect(exporter.getFinishedSpans().map(({ name }) => name)).toEqual([]);
    provide();
    await (await workflows.start(Note, undefined)).result();
    expect(traceparents[2]).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
  });
});
