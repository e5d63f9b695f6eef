import { ConsoleLogger } from '@nestjs/common';
import type { ShopConfig } from './config.js';

/** What Nest says for each module and route while it starts, which hides the lines that matter. */
const CHATTER = new Set([
  'InstanceLoader',
  'RoutesResolver',
  'RouterExplorer',
  'NestFactory',
  'NestApplication',
]);
const LEVELS = ['fatal', 'error', 'warn', 'log', 'debug', 'verbose'] as const;

/** Lines of JSON in production, coloured text elsewhere. */
export class ShopLogger extends ConsoleLogger {
  private readonly quiet: boolean;

  constructor({ logFormat, logLevel }: Pick<ShopConfig, 'logFormat' | 'logLevel'>) {
    super({
      json: logFormat === 'json',
      prefix: 'Shop',
      logLevels: LEVELS.slice(0, LEVELS.indexOf(logLevel) + 1),
    });
    this.quiet = LEVELS.indexOf(logLevel) <= LEVELS.indexOf('log');
  }

  override log(message: unknown, ...rest: unknown[]): void {
    if (this.quiet && CHATTER.has(String(rest.at(-1)))) return;
    super.log(message, ...rest);
  }
}
