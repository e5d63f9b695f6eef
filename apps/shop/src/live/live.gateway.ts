import type { LocalChannel } from '@nestbox/channels';
import { ConnectedChannel, EventHubService } from '@nestbox/event-hub';
import { UseFilters } from '@nestjs/common';
import { MessageBody, SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import { z } from 'zod';
import { plainIssues } from '../http/issues.js';
import { LiveErrorFilter, LiveError } from './live-error.filter.js';
import { position, topicName } from './topics.js';

const joinMessage = z.strictObject({ topic: topicName, since: position.optional() });
const leaveMessage = z.strictObject({ topic: topicName });
const publishMessage = z.strictObject({ topic: topicName, data: z.unknown() });

/**
 * The live side of the shop, as JSON messages `{ event, data }`:
 *
 * `join` `{ topic, since? }` is answered with `joined`, after the messages that were missed since then; `leave` with
 * `left`; `publish` `{ topic, data }` goes to everybody else who has joined, and is answered with `published`. What is
 * wrong is answered with `error`.
 */
@WebSocketGateway({ path: '/ws' })
@UseFilters(LiveErrorFilter)
export class LiveGateway {
  constructor(private readonly hub: EventHubService) {}

  @SubscribeMessage('join')
  async join(@ConnectedChannel() channel: LocalChannel, @MessageBody() body: unknown) {
    const { topic, since } = parse(joinMessage, body);
    const { recovered, missed, position: at } = await this.hub.subscribe(topic, channel.id, { since });
    return {
      event: 'joined',
      data: { topic, channelId: channel.id, recovered, missed: missed.length, position: at ?? null },
    };
  }

  @SubscribeMessage('leave')
  async leave(@ConnectedChannel() channel: LocalChannel, @MessageBody() body: unknown) {
    const { topic } = parse(leaveMessage, body);
    return { event: 'left', data: { topic, wasJoined: await this.hub.unsubscribe(topic, channel.id) } };
  }

  @SubscribeMessage('publish')
  async publish(@ConnectedChannel() channel: LocalChannel, @MessageBody() body: unknown) {
    const { topic, data } = parse(publishMessage, body);
    const { epoch, offset } = await this.hub.publish(topic, data, { except: channel.id });
    return { event: 'published', data: { topic, ...(epoch !== undefined && { epoch, offset }) } };
  }
}

/** @throws LiveError */
function parse<Schema extends z.ZodType>(schema: Schema, body: unknown): z.output<Schema> {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  const [first] = plainIssues(parsed.error.issues);
  throw new LiveError(`data${first!.path === '' ? '' : `.${first!.path}`} ${first!.message}`);
}
