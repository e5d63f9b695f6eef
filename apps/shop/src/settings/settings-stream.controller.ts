import { InvalidArgumentError } from '@nestbox/core';
import { Controller, Headers, type MessageEvent, Query, Sse } from '@nestjs/common';
import type { Observable } from 'rxjs';
import { z } from 'zod';
import { SettingsStream } from './settings-stream.js';
import { AnswersStream, TakesLastEventId } from '../openapi/answers.js';

const streamQuery = z.strictObject({ lastEventId: z.string('must be a revision.').optional() });

/**
 * Apart from the other settings, without an interceptor: with one, Nest would send the headers before the handler
 * knows where the stream begins, and whoever then makes a change would not see it.
 */
@Controller('settings')
export class SettingsStreamController {
  constructor(private readonly streams: SettingsStream) {}

  @Sse('stream')
  @AnswersStream()
  @TakesLastEventId()
  async stream(
    @Headers('last-event-id') header: string | undefined,
    @Query({ schema: streamQuery }) { lastEventId }: z.output<typeof streamQuery>,
  ): Promise<Observable<MessageEvent>> {
    // What a browser sends when it reconnects is newer than the address it connected to at first.
    if (header !== undefined && header !== '') {
      return this.streams.eventsAfter(parseRevision(header, 'headers.last-event-id'));
    }
    if (lastEventId !== undefined && lastEventId !== '') {
      return this.streams.eventsAfter(parseRevision(lastEventId, 'query.lastEventId'));
    }
    return this.streams.eventsAfter();
  }
}

/** @throws InvalidArgumentError */
function parseRevision(text: string, path: string): bigint {
  if (!/^\d{1,18}$/.test(text))
    throw new InvalidArgumentError(path, 'must be the id of an event of this stream.');
  return BigInt(text);
}
