import { type JsonValue } from '@nestbox/core';
import { Body, Controller, Delete, Get, HttpCode, Param, Put, Res, UseInterceptors } from '@nestjs/common';
import type { Response } from 'express';
import { z } from 'zod';
import { Conditions } from '../http/conditional.js';
import { DeadlineInterceptor } from '../http/deadline.interceptor.js';
import { entityTag, type Preconditions } from '../http/entity-tag.js';
import { notFound } from '../http/problem.js';
import { filledText } from '../http/text.js';
import { Settings } from './settings.js';
import { Answers, TakesConditions } from '../openapi/answers.js';
import { settingsView, settingView } from '../openapi/views.js';

const settingName = filledText(200);
const anyJson = z.unknown().refine((value) => value !== undefined, 'is missing; send it as JSON.');

@Controller('settings')
@UseInterceptors(DeadlineInterceptor)
export class SettingsController {
  constructor(private readonly settings: Settings) {}

  /** The header `Last-Event-ID` says from where on to stream, so that nothing is missed in between. */
  @Get()
  @Answers({ 200: settingsView })
  async all(@Res({ passthrough: true }) response: Response): Promise<Record<string, JsonValue>> {
    const { settings, revision } = await this.settings.all();
    response.set({ 'Last-Event-ID': String(revision), 'Cache-Control': 'no-cache' });
    return settings;
  }

  @Put(':name')
  @Answers({ 200: settingView, 201: settingView }, 412)
  @TakesConditions()
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
  @Answers({ 204: 'It is gone.' }, 404, 412)
  @TakesConditions()
  @HttpCode(204)
  async delete(
    @Param('name', { schema: settingName }) name: string,
    @Conditions() conditions: Preconditions,
  ): Promise<void> {
    if (!(await this.settings.delete(name, conditions))) throw notFound('setting', name);
  }
}
