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

/**
 * Resolves when the process is asked to end, to what asked. Asked again, it ends at once: somebody will not wait.
 */
function askedToEnd(): Promise<string> {
  return new Promise((resolve) => {
    let asked = false;
    const onSignal = (signal: NodeJS.Signals): void => {
      if (asked) process.exit(1);
      asked = true;
      resolve(signal);
    };
    process.on('SIGTERM', onSignal).on('SIGINT', onSignal);
    onLeftByNpm(() => resolve('End of npm'));
  });
}

/** npm runs a script in a shell, which does not pass on the SIGTERM that npm was sent: it ends, and we are left. */
function onLeftByNpm(listener: () => void): void {
  if (process.env['npm_lifecycle_event'] !== 'start') return;
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    listener();
  }, 250);
  timer.unref();
}

/** Runs the shop to its end; resolves to the exit code. */
async function main(): Promise<number> {
  const config = readConfig();
  if (config === undefined) return 1;
  const end = askedToEnd();
  try {
    const shop = await startShop(config);
    logger.log(`${await end}: finishing the requests in flight`);
    const inTime = await shop.stop();
    logger.log('The shop is closed');
    return inTime ? 0 : 1;
  } catch (error) {
    logger.fatal(messageOf(error));
    return 1;
  }
}

process.exit(await main());
