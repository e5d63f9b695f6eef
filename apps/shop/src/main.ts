import 'reflect-metadata';
import { messageOf } from '@nestbox/core';
import { Logger } from '@nestjs/common';
import { ConfigError, loadConfig, type ShopConfig } from './config.js';
import { startShop } from './shop.js';

const logger = new Logger('Shop');

function readConfig(): ShopConfig | undefined {
  try {
    return loadConfig(process.env);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    for (const line of error.lines) process.stderr.write(`${line}\n`);
    return undefined;
  }
}

async function main(): Promise<number | undefined> {
  const config = readConfig();
  if (config === undefined) return 1;
  const starting = startShop(config);

  const onSignal = (signal: NodeJS.Signals): void => {
    // A second signal means that somebody will not wait.
    process.once('SIGINT', () => process.exit(1)).once('SIGTERM', () => process.exit(1));
    logger.log(`${signal} received: finishing requests in flight`);
    void starting
      .then((shop) => shop.stop())
      .then(
        (inTime) => {
          logger.log('The shop is closed');
          process.exit(inTime ? 0 : 1);
        },
        (error: unknown) => {
          logger.error(
            'The shop did not close cleanly',
            error instanceof Error ? error.stack : String(error),
          );
          process.exit(1);
        },
      );
  };
  const signals = ['SIGINT', 'SIGTERM'] as const;
  const once = (signal: NodeJS.Signals): void => {
    for (const each of signals) process.off(each, once);
    onSignal(signal);
  };
  for (const each of signals) process.on(each, once);

  try {
    await starting;
    return undefined;
  } catch (error) {
    logger.fatal(messageOf(error));
    return 1;
  }
}

const exitCode = await main();
if (exitCode !== undefined) process.exit(exitCode);
