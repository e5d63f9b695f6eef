import type { Codec } from '../codec/codec.js';
import type { AppendOutcome, AppendRequest, StoredMessage } from '../event-store.backend.js';
import type { ReadEvent, Upcast } from '../event.types.js';

const LATER = { streamPosition: 0n, globalPosition: 0n, createdAt: new Date(0) };

/** In place of what is {@link LATER}. */
const UNKNOWN: PropertyDescriptorMap = Object.fromEntries(
  Object.keys(LATER).map((key) => [
    key,
    {
      enumerable: true,
      get: () => {
        throw new NotYetKnownError(key);
      },
    },
  ]),
);

class NotYetKnownError extends Error {
  constructor(key: string) {
    super(`The event has no ${key} before it is appended.`);
  }
}

/** Turns stored messages into events as readers get them. */
export class EventDecoder {
  constructor(
    private readonly codec: Codec | undefined,
    private readonly upcast: Upcast | undefined,
  ) {}

  /** Whether the types of events may be others than those that are stored. */
  get isUpcast(): boolean {
    return this.upcast !== undefined;
  }

  /** @param upcasts applied after the store's own, in this order */
  decodeAll(messages: readonly StoredMessage[], ...upcasts: readonly (Upcast | undefined)[]): ReadEvent[] {
    const events = messages.map((message) => this.decode(message));
    return this.upcastAll(events, [this.upcast, ...upcasts]);
  }

  private upcastAll(events: ReadEvent[], upcasts: readonly (Upcast | undefined)[]): ReadEvent[] {
    let current = events;
    for (const upcast of upcasts) {
      if (upcast !== undefined) current = current.flatMap((event) => upcast(event));
    }
    return current;
  }

  /**
   * The events of an append before they are appended. What is not known yet throws when it is read: the positions, and
   * the time.
   */
  decodeAhead({ partition, streamName, messages }: AppendRequest): ReadEvent[] {
    const events = messages.map((message) => {
      const event = this.decode({ ...message, ...LATER, partition, streamName });
      Object.defineProperties(event.metadata, UNKNOWN);
      return event;
    });
    return this.upcastAll(events, [this.upcast]);
  }

  /** As it is stored, without any upcast. */
  decodeRaw(message: StoredMessage): ReadEvent {
    return this.decode(message);
  }

  /** The events of an append, before anybody has read them. */
  decodeAppended(request: AppendRequest, outcome: AppendOutcome & { kind: 'appended' }): ReadEvent[] {
    const { partition, streamName, messages } = request;
    const before = outcome.version - BigInt(messages.length);
    return this.decodeAll(
      messages.map((message, i) => ({
        ...message,
        partition,
        streamName,
        streamPosition: before + BigInt(i + 1),
        globalPosition: outcome.positions[i]!,
        createdAt: outcome.createdAt,
      })),
    );
  }

  private decode(message: StoredMessage): ReadEvent {
    const { type, data, metadata, messageId, streamName, streamPosition, globalPosition } = message;
    const { codec } = this;
    const own = codec === undefined ? metadata : (codec.decode(metadata) as object);
    return {
      type,
      data: codec === undefined ? data : codec.decode(data),
      kind: 'Event',
      metadata: {
        ...own,
        messageId,
        streamName,
        streamPosition,
        globalPosition,
        createdAt: message.createdAt,
        partition: message.partition,
      },
    };
  }
}
