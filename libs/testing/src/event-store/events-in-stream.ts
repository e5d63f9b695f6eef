import type { Event } from '@nestbox/event-store';

/** An event of a spec. Its metadata may have a `createdAt`, which it is then read with. */
export type SpecEvent<E extends Event = Event> =
  E | (E & { readonly metadata?: { readonly createdAt?: Date } });

/** Events and the stream that they are in. */
export interface StreamEvents<E extends Event = Event> {
  readonly streamName: string;
  readonly events: readonly SpecEvent<E>[];
}

/** Events, on their own or in lists, and events of a certain stream. */
export type SpecInput<E extends Event = Event> = SpecEvent<E> | StreamEvents<E> | readonly SpecInput<E>[];

/** The stream of events that name none. */
export const DEFAULT_STREAM = 'stream-1';

/** Says which stream events are in; those without are in `stream-1`. */
export function eventsInStream<E extends Event>(
  streamName: string,
  events: readonly SpecEvent<E>[],
): StreamEvents<E> {
  return { streamName, events };
}

/** In order, neighbours of one stream together. */
export function byStream<E extends Event>(input: readonly SpecInput<E>[]): StreamEvents<E>[] {
  const groups: { streamName: string; events: SpecEvent<E>[] }[] = [];
  const add = (streamName: string, events: readonly SpecEvent<E>[]): void => {
    const last = groups.at(-1);
    if (last?.streamName === streamName) last.events.push(...events);
    else groups.push({ streamName, events: [...events] });
  };
  for (const each of input) {
    if (isList(each)) for (const { streamName, events } of byStream(each)) add(streamName, events);
    else if ('streamName' in each) add(each.streamName, each.events);
    else add(DEFAULT_STREAM, [each]);
  }
  return groups;
}

/** `Array.isArray` does not narrow readonly arrays. */
function isList<T>(value: T | readonly T[]): value is readonly T[] {
  return Array.isArray(value);
}
