/** The trace in which the caller is, as a traceparent header has it; undefined without OpenTelemetry. */
export function activeTraceparent(): string | undefined {
  return undefined;
}
