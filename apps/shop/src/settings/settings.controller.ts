import { InvalidArgumentError, type JsonValue } from '@nestbox/core';
import {
  Body,
  Controller,
  Delete,
  Get,
  Headers,
  HttpCode,
  type MessageEvent,
  Param,
  Put,
  Query,
  Res,
  Sse,
} from '@nestjs/common';
import type { Response } from 'express';
import type { Observable } from 'rxjs';
import { z } from 'zod';
import { Conditions } from '../http/conditional.js';
import { NoDeadline } from '../http/deadline.interceptor.js';
import { entityTag, type Preconditions } from '../http/entity-tag.js';
import { notFound } from '../http/problem.js';
import { filledText } from '../http/text.js';
import { Settings } from './settings.js';
import { SettingsStream } from './settings-stream.js';

const settingName = filledText(200);
const anyJson = z.unknown().refine((value) => value !== undefined, 'is missing; send it as JSON.');
const streamQuery = z.strictObject({ lastEventId: z.string('must be a revision.').optional() });

@Controller('settings')
export class SettingsController {
  constructor(
    private readonly settings: Settings,
    private readonly streams: SettingsStream,
  ) {}

  /** The header `Last-Event-ID` says from where on to stream, so that nothing is missed in between. */
  @Get()
  async all(@Res({ passthrough: true }) response: Response): Promise<Record<string, JsonValue>> {
    const { settings, revision } = await this.settings.all();
    response.set({ 'Last-Event-ID': String(revision), 'Cache-Control': 'no-cache' });
    return settings;
  }

  @Sse('stream')
  @NoDeadline(true)
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
    return this.streams.eventsAfter(await this.settings.revision());
  }

  @Put(':name')
  async put(
    @Param('name', { schema: settingName }) name: string,
    @Body({ schema: anyJson }) value: JsonValue,
    @Conditions() conditions: Preconditions,
    @Res({ passthrough: true }) response: Response,
  ) {
    const { created, version } = await this.settings.put(name, value, conditions);
    response.status(created ? 201 : 200).set('ETag', entityTag(version));
    return { name, value };
  }

  @Delete(':name')
  @HttpCode(204)
  async delete(
    @Param('name', { schema: settingName }) name: string,
    @Conditions() conditions: Preconditions,
  ): Promise<void> {
    if (!(await this.settings.delete(name, conditions))) throw notFound('setting', name);
  }
}

/** @throws InvalidArgumentError */
function parseRevision(text: string, path: string): bigint {
  if (!/^\d{1,18}$/.test(text))
    throw new InvalidArgumentError(path, 'must be the id of an event of this stream.');
  return BigInt(text);
}
