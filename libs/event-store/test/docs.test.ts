import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { spawnFixture, testDatabase } from '@nestbox/testing';

const root = join(import.meta.dirname, '..', '..', '..');
const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');

/** What the examples take for granted. */
const AT_HAND = `
import {
  Projection, Reactor, createConsumer, createEventStore, deciderHandler, documentProjection, handleCommand,
  multiStreamProjection, projector, rawSqlProjection, reactor, singleStreamProjection, sqlProjection, typedCodec,
  DuplicateMessageError, ExpectedVersionConflictError,
  type Event, type EventStore, type ReadEvent, type Upcast,
} from '@nestbox/event-store';
import type { KeyValueStore } from '@nestbox/kv';
import type { Postgres } from '@nestbox/postgres';
declare const store: EventStore;
declare const postgres: Postgres;
declare const kv: KeyValueStore;
type ItemAdded = Event<'ItemAdded', { product: string; price: number; quantity: number }>;
type Confirmed = Event<'Confirmed', { by: string }>;
type CartEvent = ItemAdded | Confirmed;
interface Cart { total: number; open: boolean }
declare function evolve(cart: Cart, event: CartEvent): Cart;
declare function initialState(): Cart;
declare const itemAdded: ItemAdded;
declare const confirmed: Confirmed;
declare function sendMail(to: string, options: { signal: AbortSignal }): Promise<void>;
`;

let folder: string;
beforeAll(async () => {
  // Inside the project, so that it finds its packages.
  await mkdir(join(root, '.nestbox'), { recursive: true });
  folder = await mkdtemp(join(root, '.nestbox', 'event-store-docs-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function examplesIn(file: string): Promise<string[]> {
  const text = await readFile(join(root, file), 'utf8');
  return [...text.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code]) => code!);
}

/** What the compiler says of the files of a folder. */
async function compile(at: string, compilerOptions: object): Promise<string> {
  const config = { extends: join(root, 'tsconfig.json'), compilerOptions, include: ['*.ts'], exclude: [] };
  await writeFile(join(at, 'tsconfig.json'), JSON.stringify(config));
  const { stdout } = await promisify(execFile)(process.execPath, [tsc, '-p', at]).catch(
    (error: { stdout: string }) => error,
  );
  return stdout;
}

describe('the examples in the README', () => {
  it('are compiled without a complaint', async () => {
    for (const file of ['libs/event-store/README.md']) {
      const examples = await examplesIn(file);
      expect(examples.length).toBeGreaterThan(1);
      for (const [i, code] of examples.entries()) {
        const isWhole = code.startsWith('import');
        await writeFile(
          join(folder, `${file.replaceAll(/\W/g, '-')}-${i}.ts`),
          isWhole ? code : `${AT_HAND}\nexport async function example() {\n${code}\n}\n`,
        );
      }
    }
    const paths = {
      '@nestbox/testing/event-store': [join(root, 'libs/testing/src/event-store/index.ts')],
      '@nestbox/*': [join(root, 'libs/*/src/index.ts')],
    };
    const said = await compile(folder, {
      noUnusedLocals: false,
      noUnusedParameters: false,
      types: ['node', 'jest'],
      paths,
    });
    expect(said).toBe('');
  }, 120_000);
});

describe('the example in the README', () => {
  it('runs, and prints what it says', async () => {
    const at = join(folder, 'running');
    await mkdir(at);
    const [example] = await examplesIn('libs/event-store/README.md');
    await writeFile(join(at, 'package.json'), '{ "type": "module" }');
    await writeFile(join(at, 'example.ts'), example!);
    const said = await compile(at, { paths: {}, types: ['node'], noEmit: false, rootDir: '.', outDir: '.' });
    expect(said).toBe('');

    const database = await testDatabase();
    try {
      await using app = await spawnFixture(join(at, 'example.js'), { env: { DATABASE_URL: database.url } });
      await app.waitFor("{ _id: 'cart-1', open: false, total: 7 }", 30_000);
      await app.waitFor('Thank you, Ann!', 30_000);
    } finally {
      await database.drop();
    }
  }, 120_000);
});
