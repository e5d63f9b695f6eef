import type { ChannelTransport, Frame } from '@nestbox/channels';
import type { WebSocket } from 'ws';
import { CloseCode, closeCodeOf, closeReasonOf } from './close-codes.js';
import { rawSenderOf, socketOf, type RawSender } from './raw-sender.js';
import type { Corkable, TickCork } from './tick-cork.js';
import { wireFrameOf } from './ws-frame.js';

/** `WebSocket.OPEN` and `WebSocket.CLOSED`, without loading the package. */
const OPEN = 1;
const CLOSED = 3;
/** How soon frames that wait for the end of a fragmented message are tried again, in ms. */
const RETRY_MS = 5;

export interface WsConnectionOptions {
  maxBufferedBytes: number;
  /** How long a client may take to answer a close frame. */
  closeTimeoutMs: number;
  cork: TickCork;
}

/** A WebSocket as the transport of a channel. */
export class WsConnection implements ChannelTransport {
  private readonly sender: RawSender | undefined;
  private readonly socket: Corkable | undefined;
  private readonly isRaw: boolean;
  /** What came between the fragments of a message that the application is sending. */
  private held: Frame[] = [];
  private heldBytes = 0;
  private retry: NodeJS.Timeout | undefined;
  private grace: NodeJS.Timeout | undefined;
  private isAwaited = false;
  private isOpening = true;
  private isClosing = false;

  constructor(
    readonly client: WebSocket,
    private readonly options: WsConnectionOptions,
  ) {
    this.sender = rawSenderOf(client);
    this.socket = socketOf(client);
    // With an extension (permessage-deflate) a frame differs from client to client.
    this.isRaw = this.sender !== undefined && this.socket !== undefined && client.extensions === '';
    const alive = (): void => {
      this.isAwaited = false;
    };
    client.on('pong', alive).on('ping', alive).on('message', alive);
    client.once('close', () => this.ended());
    // Messages wait in the connection of the operating system, which holds the client up, until there is a channel.
    client.pause();
  }

  /** The channel is open: what the client has sent so far may come. */
  start(): void {
    this.isOpening = false;
    if (this.client.readyState === OPEN) this.client.resume();
  }

  /** @returns false when the client is gone, or too slow to take more; it is closed then */
  send(frame: Frame): boolean {
    const { client, options } = this;
    if (this.isClosing || client.readyState !== OPEN) return false;
    const buffered = client.bufferedAmount + this.heldBytes;
    // A client that has read everything gets a message of any size.
    if (buffered > 0 && buffered + frame.data.length > options.maxBufferedBytes) {
      this.close(CloseCode.slowConsumer, 'slow consumer');
      return false;
    }
    if (this.held.length > 0 || this.isInFragments) this.hold(frame);
    else this.write(frame);
    return true;
  }

  close(code: number, reason: string): void {
    const { client, options } = this;
    if (this.isClosing || client.readyState === CLOSED) return;
    this.isClosing = true;
    this.grace = setTimeout(() => client.terminate(), options.closeTimeoutMs).unref();
    // Else its answer would not be read.
    client.resume();
    client.close(closeCodeOf(code), closeReasonOf(reason));
  }

  ping(): void {
    if (this.isOpening || this.client.readyState !== OPEN) return;
    this.isAwaited = true;
    this.client.ping();
    // The application may have sent to the client itself, past the limit.
    if (this.client.bufferedAmount > this.options.maxBufferedBytes) {
      this.close(CloseCode.slowConsumer, 'slow consumer');
    }
  }

  /** Ends the connection if nothing has come since the last ping. */
  endIfSilent(): void {
    if (this.isAwaited) this.client.terminate();
  }

  private get isInFragments(): boolean {
    return this.sender?._firstFragment === false;
  }

  /**
   * Writes the frame that was made once for all clients. This is what the sender of ws itself does with a message:
   * without an extension, and while it has nothing queued (`_state` 0), `send` builds the frame and hands it to
   * `sendFrame` in the same call, so that frames written here and messages sent with `client.send` keep the order of
   * the calls. In every other case, and where ws is built differently, it is `client.send`.
   */
  private write(frame: Frame): void {
    const { client, sender, socket } = this;
    if (this.isRaw && sender?._state === 0) {
      this.options.cork.hold(socket!);
      sender.sendFrame(wireFrameOf(frame));
    } else {
      // Without a callback, ws throws what goes wrong.
      client.send(frame.data, { binary: frame.binary }, ignore);
    }
  }

  private hold(frame: Frame): void {
    this.held.push(frame);
    this.heldBytes += frame.data.length;
    this.retry ??= setTimeout(() => this.release(), RETRY_MS).unref();
  }

  private release(): void {
    this.retry = undefined;
    if (this.client.readyState !== OPEN) return;
    if (this.isInFragments) {
      this.retry = setTimeout(() => this.release(), RETRY_MS).unref();
      return;
    }
    const { held } = this;
    this.held = [];
    this.heldBytes = 0;
    for (const frame of held) this.write(frame);
  }

  private ended(): void {
    clearTimeout(this.grace);
    clearTimeout(this.retry);
    this.held = [];
  }
}

function ignore(): void {
  // The socket closes by itself, which ends the channel.
}
