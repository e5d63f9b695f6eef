import type { NextFunction, Request, Response } from 'express';
import type { Readiness } from '../health/readiness.js';
import { unavailable } from './problem.js';
import { sendProblem } from './problem.filter.js';

/**
 * Answers while the application behind it is still starting, and asks clients to reconnect elsewhere (the next
 * instance, behind a load balancer) while it is stopping.
 */
export function gate(readiness: Readiness) {
  return (_request: Request, response: Response, next: NextFunction): void => {
    if (readiness.phase === 'starting') {
      const { problem, headers } = unavailable('Try again in a moment.');
      sendProblem(response, { ...problem, title: 'The shop is still starting.' }, headers);
      return;
    }
    if (readiness.phase === 'stopping') response.set('Connection', 'close');
    next();
  };
}
