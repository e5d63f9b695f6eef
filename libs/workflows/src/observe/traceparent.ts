import type { Context, SpanContext } from '@opentelemetry/api';
import { activeTracer, openTelemetry } from './open-telemetry.js';

/** A run as far as its trace is concerned. */
interface Traceable {
  readonly id: string;
  readonly workflow: string;
  readonly traceparent: string | undefined;
}

const TRACEPARENT = /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-|$)/;

/** The trace in which the caller is, as a traceparent header has it; undefined without OpenTelemetry. */
export function activeTraceparent(): string | undefined {
  const api = openTelemetry();
  const span = api?.trace.getSpanContext(api.context.active());
  return span !== undefined && api!.isSpanContextValid(span) ? format(span) : undefined;
}

/** The same run, in a trace that begins here unless it is in one, so that all its executions come together in it. */
export function inTrace<R extends Traceable>(run: R): R {
  if (run.traceparent !== undefined) return run;
  const tracer = activeTracer();
  if (tracer === undefined) return run;
  const { SpanKind, context } = openTelemetry()!;
  const attributes = { 'nestbox.workflow': run.workflow, 'nestbox.run.id': run.id };
  const span = tracer.startSpan(
    `start ${run.workflow}`,
    { kind: SpanKind.PRODUCER, attributes },
    context.active(),
  );
  span.end();
  return { ...run, traceparent: format(span.spanContext()) };
}

/** The context that a traceparent stands for; undefined when it is none. */
export function contextOf(traceparent: string | undefined): Context | undefined {
  const api = openTelemetry();
  const parts = traceparent === undefined ? null : TRACEPARENT.exec(traceparent);
  if (api === undefined || parts === null) return undefined;
  const [, traceId = '', spanId = '', flags = ''] = parts;
  const span = { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true };
  return api.isSpanContextValid(span) ? api.trace.setSpanContext(api.ROOT_CONTEXT, span) : undefined;
}

function format({ traceId, spanId, traceFlags }: SpanContext): string {
  return `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`;
}
