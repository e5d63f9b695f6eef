import { isAbsolute, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Duration, InvalidArgumentError, parseDuration } from '@nestbox/core';
import { z } from 'zod';

/** What the shop reads from its environment, checked. */
export interface ShopConfig {
  port: number;
  /** Undefined listens on every interface. */
  host: string | undefined;
  /** Undefined runs on the embedded PostgreSQL. */
  databaseUrl: string | undefined;
  /** Undefined leaves Redis out altogether. */
  redisUrl: string | undefined;
  /** Where the embedded PostgreSQL keeps its data. */
  embeddedDataDir: string;
  production: boolean;
  logFormat: 'json' | 'text';
  logLevel: LogLevel;
  /** How long a request may take before it is answered with 503. */
  requestTimeoutMs: number;
  /** How long a shutdown waits for requests in flight before it cuts them off. */
  shutdownTimeoutMs: number;
  /** How often a silent event stream sends a comment, so that proxies keep it open. */
  heartbeatMs: number;
  /** How long the connections of an instance that died are taken for alive. */
  nodeLeaseMs: number;
}

const LOG_LEVELS = ['error', 'warn', 'log', 'debug', 'verbose'] as const;
type LogLevel = (typeof LOG_LEVELS)[number];

/** The folder with package.json; this file is compiled to apps/shop/dist. */
const PROJECT_ROOT = fileURLToPath(new URL('../../../', import.meta.url));

const environment = z.object({
  NODE_ENV: z.string().optional(),
  PORT: wholeNumber(0, 65_535).default(3000),
  HOST: z.string().optional(),
  DATABASE_URL: connectionUrl(['postgres', 'postgresql']).optional(),
  REDIS_URL: connectionUrl(['redis', 'rediss']).optional(),
  SHOP_DATA_DIR: z.string().default('.nestbox'),
  LOG_FORMAT: z.enum(['json', 'text'], { error: 'must be json or text.' }).optional(),
  LOG_LEVEL: z.enum(LOG_LEVELS, { error: `must be one of ${LOG_LEVELS.join(', ')}.` }).default('log'),
  REQUEST_TIMEOUT: duration().default(10_000),
  SHUTDOWN_TIMEOUT: duration().default(10_000),
  STREAM_HEARTBEAT: duration().default(15_000),
  NODE_LEASE: duration().default(15_000),
});

/** The environment is not fit to start with; `lines` has one sentence for each bad variable, naming it. */
export class ConfigError extends Error {
  constructor(readonly lines: readonly string[]) {
    super(lines.join('\n'));
    this.name = 'ConfigError';
  }
}

/**
 * Checks all variables at once. A variable that is set but empty counts as not set, as `VAR= npm start` means.
 *
 * @throws ConfigError
 */
export function loadConfig(env: NodeJS.ProcessEnv): ShopConfig {
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''));
  const parsed = environment.safeParse(given);
  const lines = parsed.success
    ? []
    : parsed.error.issues.map((issue) => `${String(issue.path[0])} ${issue.message}`);
  const production = given['NODE_ENV'] === 'production';
  if (production && given['DATABASE_URL'] === undefined) {
    lines.push(
      'DATABASE_URL must be set under NODE_ENV=production; the embedded PostgreSQL is for development.',
    );
  }
  if (!parsed.success || lines.length > 0) throw new ConfigError(lines);

  const vars = parsed.data;
  const dataDir = isAbsolute(vars.SHOP_DATA_DIR)
    ? vars.SHOP_DATA_DIR
    : resolve(PROJECT_ROOT, vars.SHOP_DATA_DIR);
  return {
    port: vars.PORT,
    // The shop has no users to log in, so a development machine does not offer it to its whole network.
    host: vars.HOST ?? (production ? undefined : '127.0.0.1'),
    databaseUrl: vars.DATABASE_URL,
    redisUrl: vars.REDIS_URL,
    embeddedDataDir: resolve(dataDir, 'postgres'),
    production,
    logFormat: vars.LOG_FORMAT ?? (production ? 'json' : 'text'),
    logLevel: vars.LOG_LEVEL,
    requestTimeoutMs: vars.REQUEST_TIMEOUT,
    shutdownTimeoutMs: vars.SHUTDOWN_TIMEOUT,
    heartbeatMs: vars.STREAM_HEARTBEAT,
    nodeLeaseMs: vars.NODE_LEASE,
  };
}

function wholeNumber(min: number, max: number) {
  const problem = `must be a whole number from ${min} to ${max}.`;
  return z
    .string()
    .regex(/^\d{1,9}$/, problem)
    .transform(Number)
    .refine((number) => number >= min && number <= max, problem);
}

/** Only the form is checked, and the value is never quoted: it holds a password. */
function connectionUrl(protocols: readonly string[]) {
  const form = new RegExp(`^(?:${protocols.join('|')})://[^\\s/?#]+`);
  return z.string().regex(form, `must be a URL such as ${protocols[0]}://user:password@host/name.`);
}

function duration() {
  return z.string().transform((text, context) => {
    try {
      return parseDuration(asDuration(text), 'duration');
    } catch (error) {
      const problem = error instanceof InvalidArgumentError ? error.problem : String(error);
      context.addIssue({ code: 'custom', message: `is wrong: ${problem}` });
      return z.NEVER;
    }
  });
}

/** A bare number is in milliseconds. */
function asDuration(text: string): Duration {
  return /^\d+$/.test(text) ? Number(text) : text;
}
