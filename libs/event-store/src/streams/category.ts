/** The category of a stream: what comes before the first `-`, the whole name where there is none. */
export function beforeDash(streamName: string): string {
  const dash = streamName.indexOf('-');
  return dash > 0 ? streamName.slice(0, dash) : streamName;
}
