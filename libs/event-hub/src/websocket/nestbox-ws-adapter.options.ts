import type { IncomingMessage } from 'node:http';
import { InvalidArgumentError, parseDuration, type Duration, type JsonObject } from '@nestbox/core';

/** What decides which web pages may connect. */
export type OriginRule =
  | string
  | RegExp
  | readonly (string | RegExp)[]
  | ((origin: string, request: IncomingMessage) => boolean | Promise<boolean>);

/** How silent clients are found. */
export interface HeartbeatOptions {
  /** How often clients are pinged. Default: 25 s. */
  interval?: Duration;
  /** A client that sends nothing for so long after a ping is gone. At most the interval, which is the default. */
  timeout?: Duration;
}

/** Options of the WebSocket adapter. */
export interface NestboxWsAdapterOptions {
  /** Name of the ChannelModule whose channels the sockets get. Default: the one without a name. */
  channels?: string;
  /**
   * Called before the connection is accepted, for several at once. What it returns becomes the session of the channel;
   * `null` is a guest. `false` is refused with 401; what it throws with 401 or with the status of the HttpException.
   * Refused with 503 when it takes longer than 10 s. Default: everybody is a guest.
   */
  authenticate?(
    request: IncomingMessage,
    context: { path: string },
  ): JsonObject | null | undefined | false | Promise<JsonObject | null | undefined | false>;
  /**
   * Which `Origin` may connect: one or several exact ones (`https://example.com`), `*` for all, a RegExp or a function.
   * Others are refused with 403. Whoever sends no Origin is no browser, and is let in. Default: the host that the
   * request was sent to.
   */
  origins?: OriginRule;
  /** The most bytes of a message from a client; more closes it with 1009. Default: 1 MiB. */
  maxPayload?: number;
  /**
   * So many bytes may wait for a client that reads slowly; more closes it with 4008. A single message of any size is
   * sent to a client that has read everything before. Default: 4 MiB.
   */
  maxBufferedBytes?: number;
  /** Pings, which find clients that are gone without a word. `false`: none. */
  heartbeat?: HeartbeatOptions | false;
  /** How long a client may take to answer when it is closed. Default: 1 s. */
  closeTimeout?: Duration;
  /** More sockets on this instance are refused with 503. Default: any number. */
  maxConnections?: number;
  /** Default: the path of the gateway. */
  channelName?(request: IncomingMessage): string;
  /** An id that is open already is taken over from the older connection, which is closed with 4000. Default: random. */
  channelId?(request: IncomingMessage, session: JsonObject | null): string | undefined;
  /** Headers of the request, in lower case, that go into `openingData.headers`. Default: none. */
  headers?: readonly string[];
  /** Reads a message of a client: of Nest's WsAdapter. Default: JSON `{ event, data }`. */
  messageParser?: (data: string | Buffer | ArrayBuffer | Buffer[]) => { event: string; data: unknown } | void;
}

const MIB = 1024 * 1024;

/** The options with what they leave open. */
export interface WsSettings {
  maxPayload: number;
  maxBufferedBytes: number;
  maxConnections: number;
  closeTimeoutMs: number;
  heartbeat: { intervalMs: number; timeoutMs: number } | undefined;
}

/** @throws InvalidArgumentError */
export function settingsOf(options: NestboxWsAdapterOptions): WsSettings {
  const { maxPayload = MIB, maxBufferedBytes = 4 * MIB, maxConnections, heartbeat = {} } = options;
  assertCount(maxPayload, 'maxPayload');
  assertCount(maxBufferedBytes, 'maxBufferedBytes');
  if (maxConnections !== undefined) assertCount(maxConnections, 'maxConnections');
  return {
    maxPayload,
    maxBufferedBytes,
    maxConnections: maxConnections ?? Infinity,
    closeTimeoutMs: timerMs(options.closeTimeout ?? '1s', 'closeTimeout'),
    heartbeat: heartbeat === false ? undefined : heartbeatOf(heartbeat),
  };
}

function heartbeatOf({ interval = '25s', timeout = interval }: HeartbeatOptions): WsSettings['heartbeat'] {
  const intervalMs = timerMs(interval, 'heartbeat.interval');
  const timeoutMs = timerMs(timeout, 'heartbeat.timeout');
  if (timeoutMs > intervalMs) {
    throw new InvalidArgumentError('heartbeat.timeout', 'must be at most the interval.');
  }
  // The answers are looked at just before the next ping.
  return { intervalMs, timeoutMs: Math.min(timeoutMs, intervalMs * 0.9) };
}

function timerMs(duration: Duration, path: string): number {
  const ms = parseDuration(duration, path);
  if (ms >= 1 && ms < 2 ** 31) return ms;
  throw new InvalidArgumentError(path, 'must be at least 1 ms and less than 25 days.');
}

function assertCount(value: number, path: string): void {
  if (Number.isSafeInteger(value) && value > 0) return;
  throw new InvalidArgumentError(path, 'must be a whole number of at least 1.');
}
