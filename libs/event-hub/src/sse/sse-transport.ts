import type { ChannelTransport, Frame } from '@nestbox/channels';
import { ServiceUnavailableException, type MessageEvent } from '@nestjs/common';
import type { Subscriber } from 'rxjs';
import { GAP_EVENT, POSITION_EVENT, eventIdOf } from '../service/frames.js';
import { positionOf } from './last-event-id.js';
import { SseEvent, type SseFields } from './sse-event.js';

/** How long a client may take to read the rest when the stream ends. */
const DRAIN_MS = 2000;

/** A stream of server-sent events as the transport of a channel. */
export class SseTransport implements ChannelTransport {
  /** What came before the client was told where it begins. */
  private early: Frame[] | undefined = [];
  private waiting = 0;
  private waitingBytes = 0;
  private lastId = '';
  private draining: NodeJS.Timeout | undefined;
  private isEnding = false;

  constructor(
    private readonly subscriber: Subscriber<MessageEvent>,
    private readonly maxBuffered: number,
  ) {}

  /** Tells the client where it begins, and then what has come so far. */
  start(id: string, type: string, data: string): void {
    const frames = this.early ?? [];
    this.early = undefined;
    this.lastId = id;
    this.emit({ type, id, data });
    for (const frame of frames) this.emitFrame(frame);
  }

  send(frame: Frame): boolean {
    if (this.isEnding || this.subscriber.closed) return false;
    if (this.early !== undefined) {
      // Without a limit: most of it is what the hub has read from the history to send it here, and a client that is
      // cut off before it has got any of it would be cut off again.
      this.early.push(frame);
      return true;
    }
    if (this.waitingBytes > 0 && this.waitingBytes + frame.data.length > this.maxBuffered) {
      this.fail();
      return false;
    }
    this.emitFrame(frame);
    return true;
  }

  close(): void {
    if (this.isEnding) return;
    this.isEnding = true;
    if (this.waiting === 0) this.subscriber.complete();
    else this.draining = setTimeout(() => this.fail(), DRAIN_MS).unref();
  }

  /** Not while something waits: the client hears from us then, if it reads at all. */
  beat(): void {
    if (this.isEnding || this.early !== undefined || this.waiting > 0) return;
    this.emit({ id: this.lastId, comment: 'heartbeat' });
  }

  stop(): void {
    clearTimeout(this.draining);
    this.isEnding = true;
    this.early = undefined;
  }

  private fail(): void {
    this.isEnding = true;
    // Nest tells the client, and takes it for no error of the application.
    this.subscriber.error(new ServiceUnavailableException('slow consumer'));
  }

  private emitFrame(frame: Frame): void {
    const { data, binary, topic, eventId, payload } = frame;
    if (eventId !== undefined) this.lastId = eventId;
    const id = this.lastId;
    if (binary) {
      this.emit({ type: topic, id, data: JSON.stringify({ base64: data.toString('base64') }) });
    } else if (topic !== undefined && payload !== undefined) {
      this.emit({ type: topic, id, data: payload.toString('utf8') });
    } else {
      this.emitNotice(data.toString('utf8'));
    }
  }

  /** What is no message of the topic: notices of the hub, and what the application sends to the channel itself. */
  private emitNotice(text: string): void {
    const { event, data } = readNotice(text);
    // The id of the message before says it.
    if (event === POSITION_EVENT) return;
    if (event === GAP_EVENT) {
      const position = positionOf(gapId(data));
      if (position !== undefined) this.lastId = eventIdOf(position);
    }
    this.emit({ type: event, id: this.lastId, data: event === undefined ? text : JSON.stringify(data) });
  }

  private emit(fields: SseFields): void {
    const event: SseEvent = new SseEvent(fields, () => this.taken(event.size));
    this.waiting++;
    this.waitingBytes += event.size;
    this.subscriber.next(event);
  }

  private taken(size: number): void {
    this.waiting--;
    this.waitingBytes -= size;
    if (this.draining === undefined || this.waiting > 0) return;
    clearTimeout(this.draining);
    this.subscriber.complete();
  }
}

/** What has the form `{ event, data }` of the messages of WebSockets. */
function readNotice(text: string): { event?: string; data?: unknown } {
  const value: unknown = JSON.parse(text);
  if (typeof value !== 'object' || value === null || !('event' in value) || !('data' in value)) return {};
  return typeof value.event === 'string' ? { event: value.event, data: value.data } : {};
}

function gapId(data: unknown): string | undefined {
  if (typeof data !== 'object' || data === null || !('epoch' in data) || !('offset' in data))
    return undefined;
  return `${String(data.epoch)}:${String(data.offset)}`;
}
