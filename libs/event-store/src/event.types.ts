/**
 * Something that has happened. `data` and `metadata` are JSON values, unless the store has a codec.
 *
 * An event with a `messageId` of its own is appended to a stream once: appending it again gives the first result.
 */
export type Event<Type extends string = string, Data = unknown, Metadata = object> = Readonly<{
  type: Type;
  data: Data;
  metadata?: Metadata;
  messageId?: string;
  kind?: 'Event';
}>;

/** What the store knows of an event, beside the metadata that it was appended with. */
export interface EventMetadata {
  /** The event's own, or a UUID. */
  readonly messageId: string;
  readonly streamName: string;
  /** 1 for the stream's first event. */
  readonly streamPosition: bigint;
  /** Grows in the order of the log; not every number is used. */
  readonly globalPosition: bigint;
  /** When it was appended, by the database's clock. */
  readonly createdAt: Date;
  readonly partition: string;
  /** What belongs together. */
  readonly correlationId?: string;
  /** The message that led to this one. */
  readonly causationId?: string;
}

/** The metadata that an event was appended with. */
export type MetadataOf<E extends Event> = E extends { readonly metadata?: infer M } ? NonNullable<M> : object;

/** Written as Emmett writes it, for the compiler takes one conditional type for another only when they are spelt alike. */
type CombinedMetadata<E extends Event> =
  RequiredMetadataOf<E> extends undefined ? EventMetadata : RequiredMetadataOf<E> & EventMetadata;

type RequiredMetadataOf<E> = E extends { metadata: infer M } ? M : undefined;

/** An event as it is read. */
export type ReadEvent<E extends Event = Event> = E & {
  readonly kind: 'Event';
  readonly metadata: EventMetadata & CombinedMetadata<E> & MetadataOf<E>;
};

/** Turns an event as it was stored into how it looks today: the event itself, another, several or (`[]`) none. */
export type Upcast = (event: ReadEvent) => ReadEvent | readonly ReadEvent[];

/**
 * What a stream must be like for an append: at a version, not empty, not there; or, the default, whatever it is.
 */
export type ExpectedStreamVersion =
  bigint | 'STREAM_EXISTS' | 'STREAM_DOES_NOT_EXIST' | 'NO_CONCURRENCY_CHECK';

/** Expected of a stream: it has at least one event. */
export const STREAM_EXISTS = 'STREAM_EXISTS';
/** Expected of a stream: it has no events. */
export const STREAM_DOES_NOT_EXIST = 'STREAM_DOES_NOT_EXIST';
/** Expected of a stream: nothing; whatever it is like, the events are appended. */
export const NO_CONCURRENCY_CHECK = 'NO_CONCURRENCY_CHECK';

/** The partition of all calls that name none. */
export const DEFAULT_PARTITION = 'emt:default';

/** The type of the message that stays in the log when a stream was deleted. Readers get it only when they name it. */
export const STREAM_DELETED = '$StreamDeleted';
