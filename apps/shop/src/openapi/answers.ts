import { applyDecorators } from '@nestjs/common';
import { ApiHeader, ApiResponse } from '@nestjs/swagger';
import type { z } from 'zod';

/** What an answer has in it: a schema of its body; or what there is to say of one without. */
type Answer = z.ZodType | string;

/** The name of the schema of problems. */
export const PROBLEM_ID = 'Problem';

const PROBLEMS: Record<number, string> = {
  404: 'There is none.',
  409: 'It is in no state for that.',
  412: 'A condition does not hold. `ETag` says how it is.',
  413: 'It is too large.',
  422: 'It cannot be done as it was asked for.',
};

/** Describes the answers of a route, by their status, and the problems that it has of its own. */
export function Answers(answers: Record<number, Answer>, ...problems: readonly number[]): MethodDecorator {
  const good = Object.entries(answers).map(([status, answer]) =>
    typeof answer === 'string'
      ? ApiResponse({ status: Number(status), description: answer })
      : ApiResponse({
          status: Number(status),
          description: answer.description ?? '',
          standardSchema: answer,
        }),
  );
  return applyDecorators(...good, ...problems.map((status) => Problem(status, PROBLEMS[status] ?? '')));
}

/** Describes `If-Match` and `If-None-Match`. */
export function TakesConditions(): MethodDecorator {
  const condition = (name: string, description: string) =>
    ApiHeader({ name, required: false, description, schema: { type: 'string', example: '"3"' } });
  return applyDecorators(
    condition('If-Match', 'Only if it is at one of these versions, or `*` for any.'),
    condition('If-None-Match', 'Only if it is at none of these versions, or `*` if there is none.'),
  );
}

/** Describes `Idempotency-Key`. */
export function TakesIdempotencyKey(required: boolean): MethodDecorator {
  return ApiHeader({
    name: 'idempotency-key',
    required,
    description: 'Under the same key the same happens once, however often it is asked for.',
    schema: { type: 'string', maxLength: 255, example: '8e03978e-40d5-43dd-bc93-6894a57f9324' },
  });
}

/** Describes a stream of server-sent events. */
export function AnswersStream(): MethodDecorator {
  return ApiResponse({
    status: 200,
    description: 'Server-sent events, until somebody hangs up.',
    content: { 'text/event-stream': { schema: { type: 'string' } } },
  });
}

/** Describes `Last-Event-ID`. */
export function TakesLastEventId(): MethodDecorator {
  return ApiHeader({
    name: 'last-event-id',
    required: false,
    description: 'The id of the last event that was seen: what was missed since then comes first.',
    schema: { type: 'string' },
  });
}

function Problem(status: number, description: string): MethodDecorator {
  return ApiResponse({
    status,
    description,
    content: { 'application/problem+json': { schema: { $ref: `#/components/schemas/${PROBLEM_ID}` } } },
  });
}
