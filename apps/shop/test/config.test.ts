import { compareUtf8 } from '@nestbox/core';
import { ConfigError, loadConfig } from '../src/config.js';

function linesOf(env: NodeJS.ProcessEnv): readonly string[] {
  try {
    loadConfig(env);
  } catch (error) {
    if (error instanceof ConfigError) return error.lines;
    throw error;
  }
  return [];
}

describe('The configuration', () => {
  it('has a default for everything in development', () => {
    const config = loadConfig({});
    expect(config).toMatchObject({
      port: 3000,
      host: '127.0.0.1',
      logFormat: 'text',
      requestTimeoutMs: 10_000,
    });
    expect(config.databaseUrl).toBeUndefined();
    expect(config.embeddedDataDir).toMatch(/[\\/]\.nestbox[\\/]postgres$/);
  });

  it('takes an empty variable for one that is not set', () => {
    expect(loadConfig({ PORT: '', DATABASE_URL: '', REDIS_URL: '' })).toEqual(loadConfig({}));
  });

  it('reads what is set', () => {
    const config = loadConfig({
      PORT: '0',
      HOST: '::',
      DATABASE_URL: 'postgres://a:b@one:5432,two:5432/shop?sslmode=require',
      REDIS_URL: 'rediss://:secret@cache/1',
      SHOP_DATA_DIR: '/var/lib/shop',
      NODE_ENV: 'production',
      LOG_LEVEL: 'debug',
      REQUEST_TIMEOUT: '2500',
      SHUTDOWN_TIMEOUT: '30s',
      PAYMENT_FAILURE_RATE: '0.25',
      PAYMENT_DECLINED_CARDS: 'card_declined, card_stolen',
      PACKING_TIMEOUT: '2d',
    });
    expect(config).toMatchObject({
      port: 0,
      host: '::',
      embeddedDataDir: '/var/lib/shop/postgres',
      production: true,
      logFormat: 'json',
      requestTimeoutMs: 2500,
      shutdownTimeoutMs: 30_000,
      payments: { failureRate: 0.25, timeoutRate: 0, declinedCards: ['card_declined', 'card_stolen'] },
      packingTimeoutMs: 172_800_000,
    });
  });

  it('says what is wrong with each bad variable in a line that names it', () => {
    const lines = linesOf({
      PORT: '70000',
      DATABASE_URL: 'mysql://root:hunter2@db/shop',
      REDIS_URL: 'localhost:6379',
      LOG_LEVEL: 'loud',
      REQUEST_TIMEOUT: 'soon',
      PAYMENT_FAILURE_RATE: '1.5',
      PAYMENT_DECLINED_CARDS: 'a card',
    });
    expect(lines.map((line) => line.split(' ')[0]!).toSorted(compareUtf8)).toEqual([
      'DATABASE_URL',
      'LOG_LEVEL',
      'PAYMENT_DECLINED_CARDS',
      'PAYMENT_FAILURE_RATE',
      'PORT',
      'REDIS_URL',
      'REQUEST_TIMEOUT',
    ]);
    expect(lines.join()).not.toContain('\n');
    expect(lines.join()).not.toContain('hunter2');
  });

  it.each(['abc', '-1', '65536', '3000.5', '1e3', ' 80'])('refuses PORT=%s', (port) => {
    expect(linesOf({ PORT: port })).toEqual(['PORT must be a whole number from 0 to 65535.']);
  });

  it('wants a database of its own in production', () => {
    expect(linesOf({ NODE_ENV: 'production' })).toEqual([expect.stringMatching(/^DATABASE_URL must be set/)]);
  });
});
