import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { promisify } from 'node:util';

const root = join(import.meta.dirname, '..', '..', '..');
const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');

/** What the examples take for granted. */
const AT_HAND = `
import { KeyValueStore, MemoryAdapter, VersionConflictError } from '@nestbox/kv';
import type { Postgres } from '@nestbox/postgres';
declare const store: KeyValueStore;
declare const postgres: Postgres;
declare function fetchRates(): Promise<Record<string, number>>;
declare function buildReport(): Promise<string>;
declare function writeReport(options: { token: bigint }): Promise<void>;
`;

describe('the examples in the README', () => {
  let folder: string;
  beforeAll(async () => {
    // Inside the project, so that it finds its packages.
    await mkdir(join(root, '.nestbox'), { recursive: true });
    folder = await mkdtemp(join(root, '.nestbox', 'kv-docs-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it('are compiled without a complaint', async () => {
    for (const file of ['libs/kv/README.md']) {
      const text = await readFile(join(root, file), 'utf8');
      const blocks = [...text.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code]) => code!);
      expect(blocks.length).toBeGreaterThan(2);
      for (const [i, code] of blocks.entries()) {
        const name = `${file.replaceAll(/\W/g, '-')}-${i}.ts`;
        await writeFile(
          join(folder, name),
          code.startsWith('import') ? code : `${AT_HAND}\nexport async function example() {\n${code}\n}\n`,
        );
      }
    }
    await writeFile(
      join(folder, 'tsconfig.json'),
      JSON.stringify({
        extends: join(root, 'tsconfig.json'),
        compilerOptions: {
          noUnusedLocals: false,
          types: ['node', 'jest'],
          paths: {
            '@nestbox/testing/contracts': [join(root, 'libs/testing/src/contracts/index.ts')],
            '@nestbox/*': [join(root, 'libs/*/src/index.ts')],
          },
        },
        include: ['*.ts'],
        exclude: [],
      }),
    );
    const { stdout } = await promisify(execFile)(process.execPath, [tsc, '-p', folder]).catch(
      (error: { stdout: string }) => error,
    );
    expect(stdout).toBe('');
  }, 60_000);
});
