import type { Postgres } from '@nestbox/postgres';
import { ok, problem, warning, type Finding } from './finding.js';

const OLDEST = 15;
const NEWEST = 18;
/** Below it, two instances with pools of ten and their LISTEN connections leave no room. */
const FEW_CONNECTIONS = 30;
const NEARLY_FULL = 0.8;

/** Which PostgreSQL it is, and how it is set. */
export async function postgresServer(postgres: Postgres): Promise<Finding[]> {
  const settings = await readSettings(postgres);
  return [
    versionOf(await postgres.serverVersion()),
    roleOf(settings),
    encodingOf(settings),
    ...durabilityOf(settings),
    await connectionsOf(postgres, settings),
  ];
}

type Settings = ReadonlyMap<string, string>;

const NAMES = [
  'server_encoding',
  'fsync',
  'full_page_writes',
  'synchronous_commit',
  'transaction_read_only',
  'max_connections',
  'superuser_reserved_connections',
];

async function readSettings(postgres: Postgres): Promise<Settings> {
  const rows = await postgres.query(
    'select name, current_setting(name) as value from unnest($1::text[]) as name',
    [`{${NAMES.join(',')}}`],
  );
  const [role] = await postgres.query('select pg_is_in_recovery() as standby');
  return new Map([
    ...rows.map(({ name, value }): [string, string] => [String(name), String(value)]),
    ['standby', role!['standby'] === true ? 'on' : 'off'],
  ]);
}

export function versionOf(version: number): Finding {
  const check = 'postgres.version';
  const major = Math.floor(version / 10_000);
  const text = `PostgreSQL ${major}.${version % 10_000}`;
  const range = `${OLDEST} to ${NEWEST}`;
  if (major < OLDEST) return problem(check, `${text} is too old`, `Upgrade it; supported are ${range}.`);
  if (major > NEWEST) {
    return warning(check, `${text} is newer than what this release was tested with`, `Tested are ${range}.`);
  }
  return ok(check, text);
}

function roleOf(settings: Settings): Finding {
  const check = 'postgres.role';
  if (settings.get('standby') === 'on') {
    return problem(
      check,
      'this is a standby, which takes no writes',
      'Give the URL of the primary, or several hosts with ?target_session_attrs=read-write.',
    );
  }
  return settings.get('transaction_read_only') === 'on'
    ? problem(
        check,
        'transactions are read-only here',
        'Set default_transaction_read_only to off for this role.',
      )
    : ok(check, 'a primary, which takes writes');
}

function encodingOf(settings: Settings): Finding {
  const check = 'postgres.encoding';
  const encoding = settings.get('server_encoding');
  return encoding === 'UTF8'
    ? ok(check, 'UTF8')
    : problem(
        check,
        `the database is in ${encoding}, which cannot hold every text`,
        'Create one with encoding UTF8.',
      );
}

function durabilityOf(settings: Settings): Finding[] {
  const isOff = (name: string): boolean => settings.get(name) === 'off';
  return [
    isOff('fsync')
      ? problem(
          'postgres.fsync',
          'fsync is off: a crash of the machine can destroy the database',
          'Set fsync = on.',
        )
      : ok('postgres.fsync', 'fsync is on'),
    isOff('full_page_writes')
      ? problem(
          'postgres.full_page_writes',
          'full_page_writes is off: a crash of the machine can destroy pages',
          'Set full_page_writes = on, unless the file system rules torn pages out.',
        )
      : ok('postgres.full_page_writes', 'full_page_writes is on'),
    isOff('synchronous_commit')
      ? warning(
          'postgres.synchronous_commit',
          'synchronous_commit is off: a crash can lose what was acknowledged in the last moments',
          'Set synchronous_commit = on for this role or database.',
        )
      : ok('postgres.synchronous_commit', `synchronous_commit is ${settings.get('synchronous_commit')}`),
  ];
}

async function connectionsOf(postgres: Postgres, settings: Settings): Promise<Finding> {
  const check = 'postgres.connections';
  const most =
    Number(settings.get('max_connections')) - Number(settings.get('superuser_reserved_connections'));
  const [row] = await postgres.query(
    `select count(*)::int as used from pg_stat_activity where backend_type = 'client backend'`,
  );
  const used = Number(row!['used']);
  const text = `${used} of ${most} connections are in use`;
  if (used > most * NEARLY_FULL) {
    return warning(check, text, 'Raise max_connections, lower the pools, or put PgBouncer in between.');
  }
  if (most < FEW_CONNECTIONS) {
    return warning(
      check,
      text,
      'Each instance takes its pool (10 by default) and one to listen; raise max_connections or lower the pools.',
    );
  }
  return ok(check, text);
}
