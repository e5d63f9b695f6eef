import { randomUUID } from 'node:crypto';
import { Logger } from '@nestjs/common';
import type { NextFunction, Request, Response } from 'express';
import { requestContext } from './request-context.js';

/** Printable, and short enough for a line of a log. */
const REQUEST_ID = /^[\x21-\x7e]{1,200}$/;

const logger = new Logger('Access');

/** Gives each request an id, which its answer, its lines in the log and its events have, and logs its end. */
export function identify(request: Request, response: Response, next: NextFunction): void {
  const start = performance.now();
  const given = request.get('x-request-id');
  const requestId = given !== undefined && REQUEST_ID.test(given) ? given : randomUUID();
  response.set('X-Request-Id', requestId);
  requestContext.run({ requestId }, () => {
    // Listeners are called where the answer ends, which is outside of the request.
    response.once('close', () => {
      requestContext.run({ requestId }, () => logEnd(request, response, performance.now() - start));
    });
    next();
  });
}

function logEnd(request: Request, response: Response, durationMs: number): void {
  const { method } = request;
  // Not what was asked for, which may be anything, but what it was taken for.
  const route = routeOf(request);
  const status = response.statusCode;
  const end = response.writableFinished ? {} : { aborted: true };
  const fields = { method, route, status, durationMs: Math.round(durationMs * 10) / 10, ...end };
  const line = `${method} ${route} ${status}`;
  // Probes come all the time.
  if (route.startsWith('/health')) logger.debug(line, fields);
  else logger.log(line, fields);
}

function routeOf({ route }: Request): string {
  const { path } = (route ?? {}) as { path?: unknown };
  return typeof path === 'string' ? path : '(none)';
}
