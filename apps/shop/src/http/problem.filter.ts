import { STATUS_CODES } from 'node:http';
import { InvalidArgumentError, NestboxError } from '@nestbox/core';
import { EventStoreOperationError, ExpectedVersionConflictError } from '@nestbox/event-store';
import { KvOperationError, VersionConflictError } from '@nestbox/kv';
import { CommitOutcomeUnknownError } from '@nestbox/postgres';
import { type ArgumentsHost, Catch, type ExceptionFilter, HttpException, Logger } from '@nestjs/common';
import type { Request, Response } from 'express';
import { isAway } from '../database/is-away.js';
import {
  type Fault,
  type Problem,
  ProblemError,
  preconditionFailed,
  unavailable,
  validationProblem,
} from './problem.js';

/** Errors of the libraries that say: not now. */
const UNAVAILABLE_CODES = new Set(['TIMEOUT', 'CLOSED', 'OVERLOADED', 'REDIS_UNAVAILABLE', 'LEASE_HELD']);

/** Turns whatever is thrown into a problem (RFC 9457). What is not the client's business is logged, not sent. */
@Catch()
export class ProblemFilter implements ExceptionFilter {
  private readonly logger = new Logger('Http');

  catch(error: unknown, host: ArgumentsHost): void {
    const http = host.switchToHttp();
    const request = http.getRequest<Request>();
    const response = http.getResponse<Response>();
    const { problem, headers } = toProblemError(error, request);
    if (problem.status >= 500) this.report(problem, error, request);
    if (response.headersSent) {
      // A stream broke off in the middle; the client must not take it for whole.
      response.destroy();
      return;
    }
    sendProblem(response, problem, headers);
  }

  private report(problem: Problem, error: unknown, request: Request): void {
    const what = `${request.method} ${request.path} was answered with ${problem.status}`;
    const reason = error instanceof ProblemError && error.cause !== undefined ? error.cause : error;
    if (problem.status === 503) this.logger.warn(`${what}: ${String(reason)}`);
    else this.logger.error(what, reason instanceof Error ? reason.stack : String(reason));
  }
}

export function sendProblem(
  response: Response,
  problem: Problem,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.status(problem.status).set(headers).type('application/problem+json').send(JSON.stringify(problem));
}

function toProblemError(error: unknown, request: Request): ProblemError {
  if (error instanceof ProblemError) return error;
  if (error instanceof InvalidArgumentError) {
    return new ProblemError(validationProblem([{ ...place(error.path, request), message: error.problem }]));
  }
  if (error instanceof VersionConflictError || error instanceof ExpectedVersionConflictError) {
    return conflict(error, request);
  }
  if (error instanceof HttpException) return new ProblemError(fromStatus(error.getStatus(), error.message));
  if (isUnavailable(error)) return unavailable('The store does not answer. Try again in a moment.', error);
  return new ProblemError(fromStatus(500, 'Something went wrong here; it was logged.'));
}

/** Paths of our own checks begin with the place, as in `headers.if-match`; others are what the libraries call it. */
function place(path: string, request: Request): Pick<Fault, 'in' | 'path'> {
  const [, name, rest] = /^(headers|query|options)\.(.+)$/s.exec(path) ?? [];
  if (name === 'headers') return { in: 'header', path: rest! };
  if (name === 'query' || request.method === 'GET') return { in: 'query', path: rest ?? path };
  return { in: 'body', path };
}

function conflict({ current }: { current?: bigint | undefined }, request: Request): ProblemError {
  if (request.headers['if-match'] !== undefined || request.headers['if-none-match'] !== undefined) {
    return preconditionFailed(current);
  }
  return new ProblemError(fromStatus(409, 'It was changed by somebody else at the same time. Try again.'));
}

function isUnavailable(error: unknown): boolean {
  // It looks through the causes: a store's failure and a transaction that was cut off have the connection's in them.
  if (isAway(error) || error instanceof CommitOutcomeUnknownError) return true;
  if (error instanceof KvOperationError || error instanceof EventStoreOperationError) {
    return isUnavailable(error.cause);
  }
  return error instanceof NestboxError && UNAVAILABLE_CODES.has(error.code);
}

function fromStatus(status: number, detail: string): Problem {
  return { type: 'about:blank', title: STATUS_CODES[status] ?? 'Error', status, detail };
}
