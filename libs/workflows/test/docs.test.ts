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
import { Injectable } from '@nestjs/common';
import {
  Step, Workflow, WorkflowModule, createWorkflows,
  type WorkflowContext, type WorkflowService,
} from '@nestbox/workflows';
import type { KeyValueStore } from '@nestbox/kv';
import type { Postgres } from '@nestbox/postgres';
declare const workflows: WorkflowService;
declare const ctx: WorkflowContext;
declare const postgres: Postgres;
declare const kv: KeyValueStore;
declare class Mailer { send(to: string, text: string): Promise<void> }
declare const mailer: Mailer;
declare const payments: { charge(order: string, options: object): Promise<string> };
declare const hotel: { book(id: string): Promise<string>; cancel(booked: string): Promise<void> };
declare const airline: { book(id: string): Promise<string> };
`;

let folder: string;
beforeAll(async () => {
  // Inside the project, so that it finds its packages.
  await mkdir(join(root, '.nestbox'), { recursive: true });
  folder = await mkdtemp(join(root, '.nestbox', 'workflows-docs-'));
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

/** A whole module as it is; else the lines of a function, or a class. */
function moduleOf(code: string): string {
  if (code.startsWith('import')) return code;
  return `${AT_HAND}\nexport async function example() {\n${code}\n}\n`;
}

describe('the examples in the README', () => {
  it('are compiled without a complaint', async () => {
    for (const file of ['libs/workflows/README.md']) {
      const examples = await examplesIn(file);
      expect(examples.length).toBeGreaterThan(1);
      for (const [i, code] of examples.entries()) {
        await writeFile(join(folder, `${file.replaceAll(/\W/g, '-')}-${i}.ts`), moduleOf(code));
      }
    }
    const paths = { '@nestbox/*': [join(root, 'libs/*/src/index.ts')] };
    const said = await compile(folder, { noUnusedLocals: false, noUnusedParameters: false, paths });
    expect(said).toBe('');
  }, 120_000);
});

describe('the example in the README', () => {
  it('runs, and prints what it says', async () => {
    const at = join(folder, 'running');
    await mkdir(at);
    const [example] = await examplesIn('libs/workflows/README.md');
    await writeFile(join(at, 'package.json'), '{ "type": "module" }');
    await writeFile(join(at, 'example.ts'), example!);
    const said = await compile(at, { paths: {}, types: ['node'], noEmit: false, rootDir: '.', outDir: '.' });
    expect(said).toBe('');

    const database = await testDatabase();
    try {
      await using app = await spawnFixture(join(at, 'example.js'), { env: { DATABASE_URL: database.url } });
      const printed = await app.waitFor((message: object) => 'charge' in message, 30_000);
      expect(example).toContain(`// ${JSON.stringify(printed)}\n`);
      expect(await app.exited).toEqual({ code: 0, signal: null });
    } finally {
      await database.drop();
    }
  }, 120_000);
});
