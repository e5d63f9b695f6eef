import type { Request, Response } from 'express';
import { entityTag } from './entity-tag.js';
import { ProblemError, validationProblem } from './problem.js';

/**
 * A body may name what it is about, as an answer does.
 *
 * @throws ProblemError with 400 when it names something else
 */
export function assertIdOfPath(id: string, idInBody: string | undefined): void {
  if (idInBody === undefined || idInBody === id) return;
  const message = `must be ${JSON.stringify(id)}, as in the path, or be left out.`;
  throw new ProblemError(validationProblem([{ in: 'body', path: 'id', message }]));
}

/** Says what became of a PUT: 201 with its address for something new, else 200, with its version as entity tag. */
export function announcePut(
  { path }: Request,
  response: Response,
  { created, version }: { created: boolean; version: bigint },
): void {
  response.status(created ? 201 : 200).set({ ETag: entityTag(version), 'Content-Location': path });
  if (created) response.set('Location', path);
}
