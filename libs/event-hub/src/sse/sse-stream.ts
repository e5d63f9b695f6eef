import type { ChannelService, LocalChannel, Position } from '@nestbox/channels';
import {
  InvalidArgumentError,
  assertName,
  parseDuration,
  type Duration,
  type JsonObject,
} from '@nestbox/core';
import type { MessageEvent } from '@nestjs/common';
import { Observable, type Subscriber } from 'rxjs';
import type { SubscribeOptions, SubscribeResult } from '../event-hub.types.js';
import { eventIdOf } from '../service/frames.js';
import { positionOf } from './last-event-id.js';
import { SseTransport } from './sse-transport.js';

/** The first event of a stream. Its data is `{ recovered, position }`. */
export const SUBSCRIBED_EVENT = 'nestbox:subscribed';

const MAX_BUFFERED = 4 * 1024 * 1024;

/** Options of a stream of server-sent events. */
export interface SseStreamOptions {
  /** The `Last-Event-ID` header: the stream goes on after it. One that this hub has not given counts like none. */
  lastEventId?: string | readonly string[] | null;
  /** As whom the client is connected. Default: a guest. */
  session?: JsonObject | null;
  /** Default: `sse`. */
  channelName?: string;
  /** How often a comment is sent while there is nothing else, so that nobody takes the line for dead. Default: 15 s. */
  heartbeat?: Duration | false;
  /** So many bytes may wait for a client that reads slowly; more ends the stream. Default: 4 MiB. */
  maxBuffered?: number;
}

/** What the stream needs of an EventHubService. */
export interface SubscribingHub {
  subscribe(
    topic: string,
    channelId: string,
    options?: SubscribeOptions,
  ): Promise<Pick<SubscribeResult, 'recovered' | 'missed' | 'position'>>;
}

/** Whether streams can have channels of their own. @internal */
export function canOpen(channels: object): channels is Pick<ChannelService, 'open'> {
  return 'open' in channels && typeof channels.open === 'function';
}

/**
 * A topic as server-sent events, for a method with Nest's `@Sse()`. Each subscription of the Observable is a channel
 * that is there until the client is gone.
 *
 * The first event is `nestbox:subscribed`. Then each message is an event with the topic as its type, its JSON text as
 * data (`{"base64": …}` for bytes), and, where the topic has a history, `epoch:offset` as its id. A client that comes
 * back with it gets what it missed first. Line ends in a topic are percent-encoded.
 *
 * @throws InvalidArgumentError
 */
export function sseStream(
  channels: Pick<ChannelService, 'open'>,
  hub: SubscribingHub,
  topic: string,
  options: SseStreamOptions = {},
): Observable<MessageEvent> {
  const { heartbeat = '15s', maxBuffered = MAX_BUFFERED, channelName = 'sse' } = options;
  assertName(topic, 'topic');
  assertName(channelName, 'options.channelName');
  if (!Number.isSafeInteger(maxBuffered) || maxBuffered < 1) {
    throw new InvalidArgumentError('options.maxBuffered', 'must be a whole number of bytes of at least 1.');
  }
  const beatMs = heartbeat === false ? undefined : parseDuration(heartbeat, 'options.heartbeat');
  if (beatMs !== undefined && (beatMs < 1 || beatMs >= 2 ** 31)) {
    throw new InvalidArgumentError('options.heartbeat', 'must be at least 1 ms and less than 25 days.');
  }
  const since = positionOf(options.lastEventId);
  const { session } = options;

  return new Observable((subscriber: Subscriber<MessageEvent>) => {
    const transport = new SseTransport(subscriber, maxBuffered);
    const beat = beatMs === undefined ? undefined : setInterval(() => transport.beat(), beatMs).unref();
    let channel: LocalChannel | undefined;

    async function start(): Promise<void> {
      channel = await channels.open({ channelName, session, transport });
      if (subscriber.closed) {
        channel.close();
        return;
      }
      const { recovered, missed, position } = await hub.subscribe(topic, channel.id, { since });
      const first = missed[0];
      // Whoever is cut off after this event must not lose those that come after it.
      const from = first === undefined ? position : { epoch: first.epoch, offset: first.offset - 1 };
      const data = { recovered, position: position ?? null } satisfies {
        recovered: boolean;
        position: Position | null;
      };
      transport.start(from === undefined ? '' : eventIdOf(from), SUBSCRIBED_EVENT, JSON.stringify(data));
    }

    start().catch((error: unknown) => {
      subscriber.error(error);
      channel?.close();
    });
    return () => {
      clearInterval(beat);
      transport.stop();
      channel?.close();
    };
  });
}
