import type { Tracer } from '@opentelemetry/api';

type Api = typeof import('@opentelemetry/api');

let api: Api | undefined;
let loading: Promise<void> | undefined;

/** Looks, once, whether `@opentelemetry/api` is installed. Before that nothing is traced. Never rejects. */
export function loadOpenTelemetry(): Promise<void> {
  loading ??= load();
  return loading;
}

/** The API, where it is installed and loaded. */
export function openTelemetry(): Api | undefined {
  return api;
}

/** Whom to tell of spans; undefined while the application has set no tracer provider, so that none are made. */
export function activeTracer(): Tracer | undefined {
  if (api === undefined) return undefined;
  // The global provider is one that stands in for the application's own, also while there is none.
  const provider: object = api.trace.getTracerProvider();
  return isStandIn(provider) ? provider.getDelegateTracer(NAME) : api.trace.getTracer(NAME);
}

const NAME = '@nestbox/workflows';

interface StandIn {
  getDelegateTracer(name: string): Tracer | undefined;
}

function isStandIn(provider: object): provider is StandIn {
  return typeof Reflect.get(provider, 'getDelegateTracer') === 'function';
}

async function load(): Promise<void> {
  try {
    api = await import('@opentelemetry/api');
  } catch {
    // Not installed: an application that wants traces has it.
  }
}
