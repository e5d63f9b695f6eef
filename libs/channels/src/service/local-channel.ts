import type { JsonObject, JsonValue } from '@nestbox/core';
import type { ChannelTransport, Frame } from '../channel.transport.js';

/** What a {@link LocalChannel} asks of the service that it belongs to. */
export interface ChannelOwner<Session extends JsonObject> {
  frameOf(channelId: string, data: JsonValue | Uint8Array, binary: boolean): Frame;
  setSession(channelId: string, session: Session | null): Promise<void>;
  /** The transport threw; it is closed next. */
  onTransportError(channelId: string, error: unknown): void;
  onEnd(channel: LocalChannel<JsonObject, Session>): void;
}

/** A channel whose connection this instance holds. */
export class LocalChannel<Opening extends JsonObject = JsonObject, Session extends JsonObject = JsonObject> {
  private readonly ending = new AbortController();

  /** @internal */
  constructor(
    readonly id: string,
    readonly name: string,
    readonly openingData: Opening,
    /** As whom it is connected, as far as this instance knows. @internal Set it by {@link setSession}. */
    public session: Session | null,
    private readonly transport: ChannelTransport,
    private readonly owner: ChannelOwner<Session>,
  ) {}

  /** Aborted when the channel has ended, whoever ended it. */
  get closed(): AbortSignal {
    return this.ending.signal;
  }

  /**
   * Sends JSON as a text frame; or, with `binary`, bytes as they are.
   *
   * @returns false when the connection takes nothing any more
   * @throws InvalidArgumentError; PayloadTooLargeError
   */
  send(data: JsonValue | Uint8Array, { binary = false }: { binary?: boolean } = {}): boolean {
    return this.deliver(this.owner.frameOf(this.id, data, binary));
  }

  /** @throws ChannelNotFoundError when it has been removed; InvalidArgumentError; ChannelOperationError */
  setSession(session: Session | null): Promise<void> {
    return this.owner.setSession(this.id, session);
  }

  /**
   * Ends the connection and removes the channel. May be called twice.
   *
   * @param code of RFC 6455. Default: 1000
   */
  close(code = 1000, reason = ''): void {
    if (this.ending.signal.aborted) return;
    this.ending.abort();
    try {
      this.transport.close(code, reason);
    } catch (error) {
      this.owner.onTransportError(this.id, error);
    }
    this.owner.onEnd(this);
  }

  /** Hands a frame to the transport; one that does not take it, or throws, is closed. Never throws. @internal */
  deliver(frame: Frame): boolean {
    if (this.ending.signal.aborted) return false;
    try {
      if (this.transport.send(frame) !== false) return true;
      this.close(1011, 'not writable');
    } catch (error) {
      this.owner.onTransportError(this.id, error);
      this.close(1011, 'send failed');
    }
    return false;
  }
}
