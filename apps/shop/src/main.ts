import 'reflect-metadata';
import { messageOf } from '@nestbox/core';
import { Logger } from '@nestjs/common';
import { ConfigError, loadConfig, type ShopConfig } from './config.js';
import { startShop } from './shop.js';

const logger = new Logger('Shop');

/** Undefined where it is not fit to start with, which was said. */
function readConfig(): ShopConfig | undefined {
  try {
    return loadConfig(process.env);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    for (const line of error.lines) process.stderr.write(`${line}\n`);
    return undefined;
  }
}

/** Resolves when the process is asked to end. Asked again, it ends at once: somebody will not wait. */
function askedToEnd(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let asked = false;
    const onSignal = (signal: NodeJS.Signals): void => {
      if (asked) process.exit(1);
      asked = true;
      resolve(signal);
    };
    process.on('SIGTERM', onSignal).on('SIGINT', onSignal);
  });
}

/** Runs the shop to its end; resolves to the exit code. */
async function main(): Promise<number> {
  const config = readConfig();
  if (config === undefined) return 1;
  const end = askedToEnd();
  try {
    const shop = await startShop(config);
    logger.log(`${await end} received: finishing the requests in flight`);
    const inTime = await shop.stop();
    logger.log('The shop is closed');
    return inTime ? 0 : 1;
  } catch (error) {
    logger.fatal(messageOf(error));
    return 1;
  }
}

process.exit(await main());
