import { InvalidArgumentError } from '@nestbox/core';
import type { RedisOptions } from 'ioredis';

/** What a URL says about the connection. */
export type UrlParts = Pick<
  RedisOptions,
  'host' | 'port' | 'username' | 'password' | 'db' | 'family' | 'tls'
>;

/**
 * Reads `redis://user:password@host:port/db?family=6`; `rediss://` is for TLS.
 *
 * @throws InvalidArgumentError, without showing the URL, which may hold a password
 */
export function parseRedisUrl(text: unknown): UrlParts {
  if (typeof text !== 'string' || !/^rediss?:\/\//.test(text) || !URL.canParse(text)) {
    throw invalid('must be a URL such as redis://host:6379 or rediss://host:6379.');
  }
  const url = new URL(text);
  const parts: UrlParts = {
    host: url.hostname.replace(/^\[|\]$/g, '') || 'localhost',
    port: url.port === '' ? 6379 : Number(url.port),
  };
  if (url.username !== '') parts.username = decode(url.username);
  if (url.password !== '') parts.password = decode(url.password);
  if (url.protocol === 'rediss:') parts.tls = {};
  if (url.pathname.length > 1) parts.db = wholeNumber(url.pathname.slice(1), 'database');
  for (const [name, value] of url.searchParams) {
    if (name === 'db') parts.db = wholeNumber(value, 'database');
    else if (name === 'family') parts.family = wholeNumber(value, 'family');
    else throw invalid(`has a parameter "${name}", which is not known; give it as an option beside the URL.`);
  }
  return parts;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw invalid('has a user name or password in which a % is not encoded; write %25 for it.');
  }
}

function wholeNumber(text: string, what: string): number {
  if (!/^\d+$/.test(text)) throw invalid(`has a ${what} that is not a number.`);
  return Number(text);
}

function invalid(problem: string): InvalidArgumentError {
  return new InvalidArgumentError('options.url', problem);
}
