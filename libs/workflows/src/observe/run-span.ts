import type { Context, Span, Tracer } from '@opentelemetry/api';
import { messageOf } from '@nestbox/core';
import { activeTracer, openTelemetry } from './open-telemetry.js';
import { contextOf } from './traceparent.js';
import type { ExecutionEnd } from './events.js';
import type { ObservedRun, ObservedStep } from './observed.js';

/** Ends with which nothing is wrong; nor with a cancellation that somebody asked for. */
const FINE: readonly ExecutionEnd[] = ['completed', 'parked', 'released', 'lost'];

/** The span of an execution, and those of the steps in it. */
export class RunSpan {
  private constructor(
    private readonly tracer: Tracer,
    private readonly span: Span,
    private readonly context: Context,
  ) {}

  /** @returns undefined where nobody traces */
  static of({ runId, workflow, traceparent, isResumed }: ObservedRun): RunSpan | undefined {
    const tracer = activeTracer();
    if (tracer === undefined) return undefined;
    const { SpanKind, ROOT_CONTEXT, trace } = openTelemetry()!;
    const parent = contextOf(traceparent) ?? ROOT_CONTEXT;
    const start = trace.getSpanContext(parent);
    const span = tracer.startSpan(
      workflow,
      {
        kind: SpanKind.CONSUMER,
        attributes: {
          'nestbox.workflow': workflow,
          'nestbox.run.id': runId,
          'nestbox.run.resumed': isResumed,
        },
        links: isResumed && start !== undefined ? [{ context: start }] : [],
      },
      parent,
    );
    return new RunSpan(tracer, span, trace.setSpan(parent, span));
  }

  /** Calls the code of the workflow, whose spans are then within this one. */
  within<R>(fn: () => R): R {
    return openTelemetry()!.context.with(this.context, fn);
  }

  async step<R>({ stepName, kind, attempt }: ObservedStep, fn: () => Promise<R>): Promise<R> {
    const { context, trace } = openTelemetry()!;
    const attributes = {
      'nestbox.step.name': stepName,
      'nestbox.step.kind': kind,
      'nestbox.step.attempt': attempt,
    };
    const span = this.tracer.startSpan(stepName, { attributes }, this.context);
    try {
      return await context.with(trace.setSpan(this.context, span), fn);
    } catch (error) {
      fail(span, error);
      throw error;
    } finally {
      span.end();
    }
  }

  end(how: ExecutionEnd, error: unknown): void {
    this.span.setAttribute('nestbox.run.end', how);
    if (!FINE.includes(how) && !isCancellation(error)) fail(this.span, error);
    this.span.end();
  }
}

function fail(span: Span, error: unknown): void {
  const message = messageOf(error);
  span.recordException(isException(error) ? error : message);
  span.setStatus({ code: openTelemetry()!.SpanStatusCode.ERROR, message });
}

/** By its code, since it may have been recorded. */
function isCancellation(error: unknown): boolean {
  return isException(error) && Reflect.get(error, 'code') === 'RUN_CANCELLED';
}

/** By shape, since it may be of another realm. */
function isException(error: unknown): error is Error {
  return typeof error === 'object' && error !== null && 'message' in error;
}
