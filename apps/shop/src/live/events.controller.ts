import { EventHubService } from '@nestbox/event-hub';
import { Controller, Headers, type MessageEvent, Param, Query, Sse } from '@nestjs/common';
import type { Observable } from 'rxjs';
import { z } from 'zod';
import { topicName } from './topics.js';
import { AnswersStream, TakesLastEventId } from '../openapi/answers.js';

const eventsQuery = z.strictObject({ lastEventId: z.string('must be the id of an event.').optional() });

/** Topics as server-sent events, for those who only listen. */
@Controller('events')
export class EventsController {
  constructor(private readonly hub: EventHubService) {}

  /** What a browser sends when it reconnects is newer than the address that it connected to at first. */
  @Sse(':topic')
  @AnswersStream()
  @TakesLastEventId()
  events(
    @Param('topic', { schema: topicName }) topic: string,
    @Headers('last-event-id') header: string | undefined,
    @Query({ schema: eventsQuery }) query: z.output<typeof eventsQuery>,
  ): Observable<MessageEvent> {
    return this.hub.stream(topic, { lastEventId: header || query.lastEventId, channelName: 'events' });
  }
}
