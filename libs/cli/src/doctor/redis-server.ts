import { messageOf } from '@nestbox/core';
import type { Redis } from '@nestbox/redis';
import { formatMs } from '../output/format.js';
import { ok, problem, warning, type Finding } from './finding.js';

const OLDEST = 7;

/** Which Redis it is, and how it is set. */
export async function redisServer(redis: Redis): Promise<Finding[]> {
  const findings = [ok('redis.connection', `${redis.server} answered in ${formatMs(await redis.ping())}`)];
  for (const master of await redis.masters()) {
    let info: string;
    try {
      info = await master.info();
    } catch (error) {
      const advice = 'Allow INFO to this user, so that it can be checked.';
      findings.push(warning('redis.settings', `INFO was refused: ${messageOf(error)}`, advice));
      continue;
    }
    findings.push(...findingsOf(info));
  }
  return findings;
}

/** @param info the answer of INFO */
export function findingsOf(info: string): Finding[] {
  const fields = new Map(
    info.split(/\r?\n/).flatMap((line) => {
      const colon = line.indexOf(':');
      return colon < 0 ? [] : [[line.slice(0, colon), line.slice(colon + 1)] as const];
    }),
  );
  return [versionOf(fields), evictionOf(fields), persistenceOf(fields), roleOf(fields)];
}

type Fields = ReadonlyMap<string, string>;

function versionOf(fields: Fields): Finding {
  const check = 'redis.version';
  // Valkey tells a version of Redis for the sake of old clients.
  const valkey = fields.get('valkey_version');
  const redis = fields.get('redis_version') ?? '';
  const text = valkey === undefined ? `Redis ${redis}` : `Valkey ${valkey}`;
  if (Number.parseInt(valkey ?? redis, 10) >= OLDEST) return ok(check, text);
  return problem(check, `${text} is too old`, 'Upgrade it; supported are Redis 7 and 8, and Valkey.');
}

function evictionOf(fields: Fields): Finding {
  const check = 'redis.maxmemory-policy';
  const policy = fields.get('maxmemory_policy');
  if (policy === undefined) {
    return warning(check, 'the server does not say it', 'Make sure that it is noeviction.');
  }
  if (policy === 'noeviction') return ok(check, policy);
  const advice = 'Set maxmemory-policy noeviction.';
  return policy.startsWith('volatile-')
    ? warning(check, `${policy}: under pressure, entries with a time to live go early`, advice)
    : problem(check, `${policy}: under pressure, Redis throws away what was stored`, advice);
}

function persistenceOf(fields: Fields): Finding {
  const check = 'redis.persistence';
  if (fields.get('aof_enabled') === '1') return ok(check, 'appendonly is on');
  return warning(
    check,
    'appendonly is off: a restart loses what was written since the last snapshot, if there is any',
    'Set appendonly yes for what has to survive, or keep it in PostgreSQL.',
  );
}

function roleOf(fields: Fields): Finding {
  const check = 'redis.role';
  const role = fields.get('role') ?? 'master';
  return role === 'master'
    ? ok(check, 'a master, which takes writes')
    : problem(check, `this is a ${role}, which takes no writes`, 'Give the URL of the master.');
}
