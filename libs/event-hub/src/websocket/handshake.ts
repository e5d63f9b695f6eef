import { STATUS_CODES, type IncomingMessage } from 'node:http';
import { messageOf, type JsonObject, type JsonValue } from '@nestbox/core';
import { HttpException, type Logger } from '@nestjs/common';
import type { NestboxWsAdapterOptions } from './nestbox-ws-adapter.options.js';
import { originCheck, type OriginCheck } from './origins.js';

const AUTHENTICATE_MS = 10_000;

/** With what the channel of an accepted connection is opened. */
export interface Admission {
  channelId: string | undefined;
  channelName: string;
  openingData: JsonObject;
  /** Undefined where nobody asks who it is. */
  session: JsonObject | null | undefined;
}

export class Refusal {
  constructor(
    readonly status: number,
    readonly message = STATUS_CODES[status] ?? '',
  ) {}
}

/** Decides about connections before they are accepted. */
export class Handshake {
  private readonly isAllowedOrigin: OriginCheck;

  /** @throws InvalidArgumentError */
  constructor(
    private readonly options: NestboxWsAdapterOptions,
    private readonly closing: AbortSignal,
    private readonly logger: Logger,
  ) {
    this.isAllowedOrigin = originCheck(options.origins);
  }

  /** Never rejects. */
  async decide(request: IncomingMessage, path: string): Promise<Admission | Refusal> {
    if (this.closing.aborted) return new Refusal(503);
    let stop: (() => void) | undefined;
    const stopped = new Promise<Refusal>((resolve) => {
      stop = () => resolve(new Refusal(503));
    });
    this.closing.addEventListener('abort', stop!);
    const timer = setTimeout(stop!, AUTHENTICATE_MS).unref();
    try {
      return await Promise.race([this.admit(request, path), stopped]);
    } finally {
      clearTimeout(timer);
      this.closing.removeEventListener('abort', stop!);
    }
  }

  /** Never rejects. */
  private async admit(request: IncomingMessage, path: string): Promise<Admission | Refusal> {
    const { options } = this;
    try {
      if (!(await this.isAllowedOrigin(request))) return new Refusal(403);
    } catch (error) {
      return this.refusalOf(error, 403);
    }
    let session: JsonObject | null | undefined;
    if (options.authenticate !== undefined) {
      try {
        const found = await options.authenticate(request, { path });
        if (found === false) return new Refusal(401);
        session = found ?? null;
      } catch (error) {
        return this.refusalOf(error, 401);
      }
      if (typeof session !== 'object' || Array.isArray(session)) {
        this.logger.error('authenticate must return an object, null or false.');
        return new Refusal(500);
      }
    }
    try {
      const openingData = openingDataOf(request, options.headers ?? []);
      if (openingData === undefined) return new Refusal(400);
      const channelName = options.channelName?.(request) ?? path;
      return { channelId: options.channelId?.(request, session ?? null), channelName, openingData, session };
    } catch (error) {
      return this.refusalOf(error, 400);
    }
  }

  private refusalOf(error: unknown, status: number): Refusal {
    if (error instanceof HttpException) return new Refusal(error.getStatus(), error.message);
    // It may say too much for a stranger.
    this.logger.warn(`A WebSocket was refused: ${messageOf(error)}`);
    return new Refusal(status);
  }
}

/**
 * The query parameters, those that repeat as lists, and the chosen headers in a property of their own.
 *
 * @returns undefined for what no backend keeps
 */
function openingDataOf(
  { url = '', headers }: IncomingMessage,
  names: readonly string[],
): JsonObject | undefined {
  const start = url.indexOf('?');
  const parameters = new URLSearchParams(start === -1 ? '' : url.slice(start));
  const data = new Map<string, JsonValue>();
  for (const name of new Set(parameters.keys())) {
    const values = parameters.getAll(name);
    if ([name, ...values].some((text) => text.includes('\0'))) return undefined;
    data.set(name, values.length === 1 ? values[0]! : values);
  }
  if (names.length > 0) {
    const chosen = names.flatMap((name) => {
      const value = headers[name.toLowerCase()];
      return value === undefined ? [] : [[name.toLowerCase(), value] as const];
    });
    data.set('headers', Object.fromEntries(chosen));
  }
  return Object.fromEntries(data);
}
