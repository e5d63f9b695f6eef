import { messageOf } from '@nestbox/core';
import type { CommandContext } from '../command/context.js';
import { command } from '../command/define.js';
import { CommandFailedError } from '../command.errors.js';
import { addressOf } from '../connections/postgres-connection.js';
import { clock } from '../doctor/clock.js';
import { ok, problem, type Finding } from '../doctor/finding.js';
import { indexes } from '../doctor/indexes.js';
import { listenRoundTrip } from '../doctor/listen.js';
import { nodeVersion } from '../doctor/node-version.js';
import { postgresServer } from '../doctor/postgres-server.js';
import { redisServer } from '../doctor/redis-server.js';
import { schemaVersions } from '../doctor/schema-versions.js';
import { ExitCode } from '../exit-codes.js';
import { formatMs } from '../output/format.js';
import { visible } from '../output/text-width.js';
import { UsageError } from '../usage-error.js';

export const doctorCommand = command({
  usage: 'doctor',
  summary: 'check the servers: versions, schema, indexes, settings, notifications, clock',
  details:
    'PostgreSQL and Redis are checked where their URLs are given. Nothing is changed. Each finding is ok, a warning or a problem, and says what to do. The exit code is 3 when there is a problem.',
  examples: ['nestbox doctor', 'nestbox doctor --url postgres://db/app --redis-url redis://cache --json'],
  async run(context) {
    const { url, redisUrl } = context.servers;
    if (url === undefined && redisUrl === undefined) {
      throw new UsageError('no server is given; pass --url or --redis-url, or set DATABASE_URL or REDIS_URL');
    }
    const findings: Finding[] = [];
    const report = (found: readonly Finding[]): void => {
      findings.push(...found);
      if (!context.isJson) for (const each of found) context.print(textOf(each));
    };
    report([nodeVersion()]);
    if (url !== undefined) await checkPostgres(context, url, report);
    if (redisUrl !== undefined) await checkRedis(context, report);
    const problems = findings.filter(({ status }) => status === 'problem').length;
    const warnings = findings.filter(({ status }) => status === 'warning').length;
    if (context.isJson) {
      context.printJson({
        problems,
        warnings,
        findings: findings.map((each) => ({ ...each, advice: each.advice ?? null })),
      });
    } else context.print(`\n${summaryOf(problems, warnings)}`);
    return problems > 0 ? ExitCode.attention : ExitCode.done;
  },
});

type Report = (found: readonly Finding[]) => void;

async function checkPostgres(context: CommandContext, url: string, report: Report): Promise<void> {
  const check = 'postgres.connection';
  try {
    const postgres = await context.connections.postgres();
    const ms = await postgres.ping();
    report([ok(check, `${addressOf(url)} answered in ${formatMs(ms)}`)]);
    report(await postgresServer(postgres));
    report([await clock(postgres)]);
    report([await listenRoundTrip(postgres)]);
    const { findings, states } = await schemaVersions(postgres, context.config);
    report(findings);
    report(await indexes(postgres, states));
  } catch (error) {
    report([failure(check, error)]);
  }
}

async function checkRedis(context: CommandContext, report: Report): Promise<void> {
  try {
    report(await redisServer(await context.connections.redis()));
  } catch (error) {
    report([failure('redis.connection', error)]);
  }
}

function failure(check: string, error: unknown): Finding {
  const advice =
    error instanceof CommandFailedError
      ? 'Check the URL, and that the server runs and lets this machine in.'
      : 'The checks behind it were not made.';
  return problem(check, messageOf(error), advice);
}

function textOf({ check, status, message, advice }: Finding): string {
  const line = `${status.padEnd(7)}  ${check}: ${visible(message)}`;
  return advice === undefined ? line : `${line}\n         -> ${visible(advice)}`;
}

function summaryOf(problems: number, warnings: number): string {
  if (problems === 0 && warnings === 0) return 'All is well.';
  const one = (count: number, word: string): string => `${count} ${word}${count === 1 ? '' : 's'}`;
  return `${one(problems, 'problem')}, ${one(warnings, 'warning')}.`;
}
