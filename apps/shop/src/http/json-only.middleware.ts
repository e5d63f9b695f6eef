import type { NextFunction, Request, Response } from 'express';
import { ProblemError } from './problem.js';

/**
 * Refuses a body that nobody would parse, which would look as if it were missing (as `curl -d` sends it). Bytes may be
 * broadcast, too.
 */
export function jsonOnly(request: Request, _response: Response, next: NextFunction): void {
  // `is` gives null where there is no body, and false where its type is another.
  if (request.path === '/broadcast' && request.is('application/octet-stream') !== false) return next();
  if (request.headers['content-length'] === '0' || request.is(['json', '+json']) !== false) return next();
  next(
    new ProblemError(
      {
        type: 'about:blank',
        title: 'Unsupported Media Type',
        status: 415,
        detail: 'Send the body as JSON, with the header Content-Type: application/json.',
      },
      { Accept: 'application/json' },
    ),
  );
}
