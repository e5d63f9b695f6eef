/** A frame in the form in which transports send it. One frame may go to many channels, and is never changed. */
export interface Frame {
  /** A text frame holds UTF-8. */
  readonly data: Buffer;
  readonly binary: boolean;
  /** Of a message of a topic, for transports that have a place for it. */
  readonly topic?: string;
  /** Where it stands in the topic's history, as `<epoch>:<offset>`. */
  readonly eventId?: string;
  /** The payload alone where `data` has an envelope around it: the JSON text of a topic's message. */
  readonly payload?: Buffer;
}

/** A connection to somebody: a WebSocket, a stream of server-sent events, or what you like. */
export interface ChannelTransport {
  /**
   * Sends a frame, or keeps it until it can be sent. Whoever throws here is disconnected, and harms nobody else.
   *
   * @returns false when the connection takes nothing any more
   */
  send(frame: Frame): boolean | void;
  /**
   * Ends the connection. May be called twice.
   *
   * @param code of RFC 6455, 1000 to 4999
   */
  close(code: number, reason: string): void;
}
