import { PayloadTooLargeError } from '@nestbox/channels';
import { EventHubService } from '@nestbox/event-hub';
import { Body, Controller, Post, Query, Req, UseInterceptors } from '@nestjs/common';
import type { Request } from 'express';
import { z } from 'zod';
import { DeadlineInterceptor } from '../http/deadline.interceptor.js';
import { plainIssues } from '../http/issues.js';
import { ProblemError, validationProblem } from '../http/problem.js';
import { text } from '../http/text.js';
import { ANNOUNCEMENTS, topicName } from './topics.js';
import { ApiOperation } from '@nestjs/swagger';
import { Answers } from '../openapi/answers.js';
import { toSchema } from '../openapi/to-schema.js';
import { publishedView } from '../openapi/views.js';

const channelIds = z.union([text(512), z.array(text(512)).max(1000)]);
const broadcast = z.strictObject(
  {
    topic: topicName.default(ANNOUNCEMENTS),
    data: z.unknown().refine((data) => data !== undefined, 'is missing; give any JSON value.'),
    except: channelIds.optional(),
  },
  { error: (issue) => (issue.code === 'invalid_type' ? 'must be a JSON object.' : undefined) },
);
/** A body of bytes has its topic in the address. */
const broadcastQuery = z.strictObject({ topic: topicName.optional(), except: channelIds.optional() });

const BROADCAST_BODY = {
  'application/json': { schema: toSchema(broadcast, 'input') },
  'application/octet-stream': { schema: { type: 'string', format: 'binary' } },
};

/** Says something to everybody who has joined a topic, on every instance. */
@Controller('broadcast')
@UseInterceptors(DeadlineInterceptor)
export class LiveController {
  constructor(private readonly hub: EventHubService) {}

  /** `{ topic, data, except? }` as JSON; or bytes as `application/octet-stream` with `?topic=`, sent as they are. */
  @Post()
  @ApiOperation({ requestBody: { required: true, content: BROADCAST_BODY } })
  @Answers({ 201: publishedView }, 413)
  async broadcast(
    @Req() request: Request,
    @Query({ schema: broadcastQuery }) query: z.output<typeof broadcastQuery>,
    @Body() body: unknown,
  ) {
    const binary = Buffer.isBuffer(body);
    const { topic, data, except } = binary
      ? { topic: query.topic ?? ANNOUNCEMENTS, data: body, except: query.except }
      : parseBroadcast(request.body);
    try {
      return { topic, ...(await this.hub.publish(topic, data, { except, binary })) };
    } catch (error) {
      if (!(error instanceof PayloadTooLargeError)) throw error;
      throw new ProblemError({
        type: 'about:blank',
        title: 'Content Too Large',
        status: 413,
        detail: error.message,
      });
    }
  }
}

/** @throws ProblemError with 400 */
function parseBroadcast(body: unknown): z.output<typeof broadcast> {
  const parsed = broadcast.safeParse(body ?? undefined);
  if (parsed.success) return parsed.data;
  throw new ProblemError(
    validationProblem(
      plainIssues(parsed.error.issues).map((issue) => ({
        in: 'body',
        path: issue.path || 'body',
        message: issue.message,
      })),
    ),
  );
}
