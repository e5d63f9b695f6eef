import { ConsoleLogger, type LogLevel } from '@nestjs/common';
import type { ShopConfig } from './config.js';
import { requestContext } from './http/request-context.js';

/** What Nest says for each module and route while it starts, which hides the lines that matter. */
const CHATTER = new Set([
  'InstanceLoader',
  'RoutesResolver',
  'RouterExplorer',
  'NestFactory',
  'NestApplication',
]);
const LEVELS = ['fatal', 'error', 'warn', 'log', 'debug', 'verbose'] as const;

/** What no line may show, wherever an object has it. */
const SECRETS = ['password', 'authorization', 'cookie', 'set-cookie'];

/** The password in a URL, as errors of drivers quote them. */
const PASSWORD = /(\b[a-z]+:\/\/[^\s:/@]*:)[^\s/@]*@/g;

/** Lines of JSON in production, coloured text elsewhere. Each line of a request has the request's id. */
export class ShopLogger extends ConsoleLogger {
  private readonly quiet: boolean;

  constructor({ logFormat, logLevel }: Pick<ShopConfig, 'logFormat' | 'logLevel'>) {
    super({
      json: logFormat === 'json',
      prefix: 'Shop',
      logLevels: LEVELS.slice(0, LEVELS.indexOf(logLevel) + 1),
      redact: SECRETS,
      flattenParams: true,
    });
    this.quiet = LEVELS.indexOf(logLevel) <= LEVELS.indexOf('log');
  }

  override log(message: unknown, ...rest: unknown[]): void {
    if (this.quiet && CHATTER.has(String(rest.at(-1)))) return;
    super.log(message, ...rest);
  }

  protected override printMessages(messages: unknown[], ...rest: unknown[]): void {
    const [context, level, stream, stack, params] = rest as PrintRest;
    super.printMessages(
      messages.map(withoutPassword),
      context,
      level,
      stream,
      withoutPassword(stack),
      params,
    );
  }

  protected override getJsonLogObject(message: unknown, options: JsonOptions): JsonLine {
    const { level, pid, timestamp, message: text, ...rest } = super.getJsonLogObject(message, options);
    const requestId = requestContext.getStore()?.requestId;
    return {
      time: new Date(timestamp).toISOString(),
      level,
      message: text,
      ...(requestId !== undefined && { requestId }),
      ...rest,
      pid,
      timestamp,
    };
  }
}

type JsonOptions = Parameters<ConsoleLogger['getJsonLogObject']>[1];
type JsonLine = ReturnType<ConsoleLogger['getJsonLogObject']>;
type PrintRest = [
  context: string | undefined,
  level: LogLevel | undefined,
  stream: 'stdout' | 'stderr' | undefined,
  stack: unknown,
  params: Record<string, unknown> | undefined,
];

function withoutPassword(text: unknown): unknown {
  return typeof text === 'string' ? text.replace(PASSWORD, '$1***@') : text;
}
