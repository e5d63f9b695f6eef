import { createHash } from 'node:crypto';
import { assertName } from '@nestbox/core';
import { PROBLEM_TYPES, ProblemError } from '../http/problem.js';

/**
 * The key of an `Idempotency-Key` header: a quoted string, as the IETF's draft has it
 * (draft-ietf-httpapi-idempotency-key-header), or a bare one, as most clients send it.
 *
 * @throws ProblemError with 400 when it is missing or malformed
 */
export function parseIdempotencyKey(header: string | undefined): string {
  if (header === undefined)
    throw badKey('is missing', 'Send a new, random one with each new order, such as a UUID.');
  const quoted = /^"((?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"$/.exec(header)?.[1];
  const key = quoted === undefined ? header : quoted.replaceAll(/\\(.)/g, '$1');
  if ((quoted === undefined && /[^\x21-\x7e]|[",;\\]/.test(header)) || key === '') {
    throw badKey(
      'is malformed',
      'It must be a quoted string such as "8e03978e-40d5-43dd-bc93-6894a57f9324".',
    );
  }
  if (key.length > 255) throw badKey('is too long', 'It may have 255 characters.');
  assertName(key, 'headers.idempotency-key');
  return key;
}

function badKey(problem: string, advice: string): ProblemError {
  return new ProblemError({
    type: PROBLEM_TYPES.idempotencyKeyMissing,
    title: `Idempotency-Key ${problem}.`,
    status: 400,
    detail: advice,
    errors: [{ in: 'header', path: 'idempotency-key', message: `${problem}. ${advice}` }],
  });
}

/** A key that was sent with another request before. */
export function keyReused(): ProblemError {
  return new ProblemError({
    type: PROBLEM_TYPES.idempotencyKeyReused,
    title: 'Idempotency-Key is already used.',
    status: 422,
    detail: 'This Idempotency-Key was used with another request. Use a new key for a new request.',
  });
}

/** What makes two requests the same: what they ask for, whatever the spacing or the order of properties. */
export function fingerprintOf(operation: string, body: unknown): string {
  return createHash('sha256')
    .update(`${operation}\n${canonicalJson(body)}`)
    .digest('base64url');
}

function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) =>
    typeof part === 'object' && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );
}
