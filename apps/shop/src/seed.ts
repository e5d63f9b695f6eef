import 'reflect-metadata';
import { readFile } from 'node:fs/promises';
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { messageOf } from '@nestbox/core';
import { TypeOrmTransactions } from '@nestbox/typeorm';
import { NestFactory } from '@nestjs/core';
import { CatalogueFileError, parseCatalogue } from './catalogue/catalogue-file.js';
import { loadProducts } from './catalogue/load-products.js';
import { ConfigError, loadConfig } from './config.js';
import { ShopLogger } from './shop-logger.js';
import { storage } from './storage.js';

const CATALOGUE = fileURLToPath(new URL('../data/catalogue.jsonl', import.meta.url));

const USAGE = `Loads products into the shop's database: all of a file, or nothing of it.

  npm run seed                          the catalogue that comes with the shop
  npm run seed -- <file.jsonl>          another one: a product with its id per line, as JSON
  npm run seed -- --replace [<file>]    products that are there already too, instead of leaving them as they are
`;

async function seed(file: string, replace: boolean): Promise<void> {
  // The file is read to its end first: where a line is bad, nothing is touched.
  const products = parseCatalogue(relative(process.cwd(), file), await readFile(file, 'utf8'));
  const config = loadConfig(process.env);
  const imports = storage(config);
  const app = await NestFactory.createApplicationContext(
    { module: class SeedModule {}, imports },
    { logger: new ShopLogger({ ...config, logLevel: 'warn' }), abortOnError: false },
  );
  try {
    const loaded = await app.get(TypeOrmTransactions).run((manager) =>
      loadProducts(manager, products, {
        replace,
        onProgress: (done) => showProgress(done, products.size),
      }),
    );
    const skipped = products.size - loaded;
    const kept = skipped === 0 ? '' : `, ${skipped} were there already and were left as they are`;
    say(`${loaded} of ${products.size} products loaded${kept}.`);
  } finally {
    await app.close();
  }
}

function showProgress(done: number, total: number): void {
  if (process.stdout.isTTY) process.stdout.write(`\r${done} of ${total} products`);
}

function say(text: string): void {
  process.stdout.write(`${process.stdout.isTTY ? '\r\u001B[K' : ''}${text}\n`);
}

async function main(): Promise<number> {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: { replace: { type: 'boolean', default: false }, help: { type: 'boolean', default: false } },
    });
    if (values.help || positionals.length > 1) {
      process.stdout.write(USAGE);
      return values.help ? 0 : 1;
    }
    await seed(positionals[0] ?? CATALOGUE, values.replace);
    return 0;
  } catch (error) {
    const advice = error instanceof CatalogueFileError ? '\nNothing was loaded.' : '';
    const text = error instanceof ConfigError ? error.lines.join('\n') : messageOf(error);
    process.stderr.write(`${text}${advice}\n`);
    return 1;
  }
}

process.exitCode = await main();
