import { setTimeout as sleep } from 'node:timers/promises';
import { TimeoutError, messageOf } from '@nestbox/core';
import { Postgres, isConnectionLost } from '@nestbox/postgres';
import { CommandFailedError } from '../command.errors.js';

const PATIENCE_S = 5;
const SECONDS_PER_HOST = 2;

/** A database that is not connected yet. */
export function postgresAt(url: string): Postgres {
  return new Postgres({
    url,
    options: {
      max: 4,
      connect_timeout: patienceS(url),
      connection: { application_name: 'nestbox-cli' },
    },
  });
}

/**
 * Makes a round trip.
 *
 * @throws CommandFailedError when the server cannot be reached, or does not answer within about 5 seconds
 */
export async function reach(postgres: Postgres, url: string): Promise<void> {
  const timeoutMs = (patienceS(url) * hostsOf(url).length + 0.5) * 1000;
  const timer = new AbortController();
  const late = sleep(timeoutMs, undefined, { signal: timer.signal }).then(() => {
    throw new TimeoutError('The server', timeoutMs);
  });
  late.catch(() => undefined);
  try {
    await Promise.race([postgres.query('select 1'), late]);
  } catch (error) {
    const reason = messageOf(error);
    const advice = isConnectionLost(error) || error instanceof TimeoutError ? ' Does it run there?' : '';
    throw new CommandFailedError(
      `cannot connect to PostgreSQL at ${addressOf(url)}: ${withStop(reason)}${advice}`,
      {
        cause: error,
      },
    );
  } finally {
    timer.abort();
  }
}

/** Host, port and database of a URL; never the password. */
export function addressOf(url: string): string {
  const [, path = ''] = /^[a-z]+:\/\/[^/?#]*\/?([^?#]*)/i.exec(url) ?? [];
  return `${hostsOf(url).join(', ')}${path === '' ? '' : `, database "${path}"`}`;
}

/** Ends connections; one that hangs is left behind. */
export async function closeSoon(close: Promise<void>): Promise<void> {
  const timer = new AbortController();
  const late = sleep(1_000, undefined, { signal: timer.signal }).catch(() => undefined);
  await Promise.race([close.catch(() => undefined), late]);
  timer.abort();
}

function hostsOf(url: string): string[] {
  const [, authority = ''] = /^[a-z]+:\/\/([^/?#]*)/i.exec(url) ?? [];
  // A password may hold an @ that was not encoded.
  const hosts = authority.slice(authority.lastIndexOf('@') + 1);
  return (hosts === '' ? 'localhost' : hosts).split(',');
}

/** Several hosts are tried one after the other. */
function patienceS(url: string): number {
  return hostsOf(url).length === 1 ? PATIENCE_S : SECONDS_PER_HOST;
}

function withStop(text: string): string {
  return text.endsWith('.') ? text : `${text}.`;
}
