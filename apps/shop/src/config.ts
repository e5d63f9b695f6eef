import { isAbsolute, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Duration, InvalidArgumentError, parseDuration } from '@nestbox/core';
import { z } from 'zod';
import { cardToken, DECLINED_CARD } from './payments/card.js';
import type { PaymentOptions } from './payments/payment.options.js';

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
  /** How long an instance that died is taken for alive, with its connections and the checkouts that it was at. */
  nodeLeaseMs: number;
  payments: PaymentOptions;
  /** How long the payment provider may take to answer before it is asked again. */
  paymentTimeoutMs: number;
  /** How long an order may wait to be packed before it is cancelled. */
  packingTimeoutMs: number;
  /** How long the carrier takes to collect a parcel. */
  carrierLatencyMs: number;
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
  PAYMENT_FAILURE_RATE: share().default(0),
  PAYMENT_TIMEOUT_RATE: share().default(0),
  PAYMENT_MAX_FAILURES: wholeNumber(0, 999_999_999).optional(),
  PAYMENT_LATENCY: duration().default(150),
  PAYMENT_DECLINED_CARDS: cards().default([DECLINED_CARD]),
  PAYMENT_TIMEOUT: duration().default(5_000),
  PACKING_TIMEOUT: duration().default(7 * 86_400_000),
  CARRIER_LATENCY: duration().default(300),
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
    payments: {
      failureRate: vars.PAYMENT_FAILURE_RATE,
      timeoutRate: vars.PAYMENT_TIMEOUT_RATE,
      maxFailures: vars.PAYMENT_MAX_FAILURES ?? Infinity,
      latencyMs: vars.PAYMENT_LATENCY,
      declinedCards: vars.PAYMENT_DECLINED_CARDS,
    },
    paymentTimeoutMs: vars.PAYMENT_TIMEOUT,
    packingTimeoutMs: vars.PACKING_TIMEOUT,
    carrierLatencyMs: vars.CARRIER_LATENCY,
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

/** Of all: from 0 to 1. */
function share() {
  const problem = 'must be a number from 0 to 1.';
  return z
    .string()
    .regex(/^[01](\.\d{1,9})?$/, problem)
    .transform(Number)
    .refine((number) => number <= 1, problem);
}

/** Tokens of cards, with commas in between. */
function cards() {
  const problem = 'must be the tokens of cards with commas in between, such as card_declined,card_stolen.';
  return z
    .string()
    .transform((text) => text.split(',').map((token) => token.trim()))
    .refine((tokens) => tokens.every((token) => cardToken.safeParse(token).success), problem);
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
