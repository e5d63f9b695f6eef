import { AsyncLocalStorage } from 'node:async_hooks';

/** What is known of the request that is being answered, wherever that leads. */
export interface RequestContext {
  /** The client's `X-Request-Id`, or one of ours. */
  readonly requestId: string;
}

/** Set while a request is answered. */
export const requestContext = new AsyncLocalStorage<RequestContext>();

/** By what an event came about. */
export interface Trace {
  /** What belongs together: the request that began it. */
  correlationId?: string;
  /** What led to the event: a request, or the event before it. */
  causationId?: string;
}

/** The message after which something happens by itself. */
interface Before {
  readonly correlationId: string | undefined;
  readonly messageId: string;
}

/**
 * The trace of what happens now: caused by the request that is being answered, else by the event before. What has
 * begun keeps its correlation.
 */
export function toTrace(before?: Before): Trace {
  const requestId = requestContext.getStore()?.requestId;
  const correlationId = before?.correlationId ?? requestId;
  const causationId = requestId ?? before?.messageId;
  return {
    ...(correlationId !== undefined && { correlationId }),
    ...(causationId !== undefined && { causationId }),
  };
}
