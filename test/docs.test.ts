import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Postgres } from '@nestbox/postgres';
import { Redis } from '@nestbox/redis';
import { freePort, testDatabase, testRedis, type TestDatabase } from '@nestbox/testing';
import { compile } from './docs/compile.js';
import { faultsIn } from './docs/data.js';
import { brokenLinks } from './docs/links.js';
import { readPage, root } from './docs/page.js';
import { planOf, type Plan } from './docs/programs.js';
import { inCode, runPage } from './docs/run-page.js';
import { runTests } from './docs/run-tests.js';

/** Every block of code in the documentation is compiled and run. test/docs/README.md says how. */

/** Pages whose blocks have a test of their own, which does more with them. */
const ELSEWHERE = new Map([['docs/guides/first-app.md', 'test/walk-through.test.ts']]);
const COMPILE_MS = 60_000;
const RUN_MS = 150_000;

const found = await readdir(join(root, 'docs'), { recursive: true });
/** While a page is written, it can be tested alone. */
const wanted = process.env['DOCS_PAGES'] ?? '';
const paths = found
  .filter((path) => path.endsWith('.md') && !path.startsWith('reference'))
  .map((path) => `docs/${path}`)
  .filter((path) => path.includes(wanted))
  .sort();
const pages = await Promise.all(paths.map((path) => readPage(path)));
const tested = pages.filter(({ path }) => !ELSEWHERE.has(path));

describe('The pages of the documentation', () => {
  let folder: string;
  let plans: Plan[];
  let faults: string[];
  let template: TestDatabase;
  let postgres: Postgres;
  let redis: Redis;
  let tests: Promise<Map<string, string>>;
  const databases: string[] = [];

  beforeAll(async () => {
    // Inside the project, so that programs find its packages as a user's do.
    await mkdir(join(root, '.nestbox'), { recursive: true });
    folder = await mkdtemp(join(root, '.nestbox', 'docs-'));
    plans = tested.map((page) => {
      const plan = planOf(page);
      return { ...plan, modules: plan.modules.map((one) => ({ ...one, text: inCode(one.text) })) };
    });
    faults = await compile(folder, plans);

    template = await testDatabase();
    const cli = join(root, 'libs/cli/dist/main.js');
    await promisify(execFile)(process.execPath, [cli, 'migrate', 'run', '--url', template.url]);
    const server = new URL(template.url);
    server.pathname = '/postgres';
    postgres = new Postgres({ url: server.href });
    redis = new Redis({ url: await redisUrl() });
    tests = runTests(folder, plans, await databaseOf('tests'));
  }, COMPILE_MS);

  afterAll(async () => {
    await tests;
    for (const name of databases) await postgres.query(`drop database "${name}" with (force)`);
    await postgres?.close();
    await redis?.close();
    await template?.drop();
    await rm(folder, { recursive: true, force: true });
  });

  it('are compiled without a complaint', () => {
    expect(faults).toEqual([]);
  });

  it('have blocks of data that can be read, and no others that nothing tests', () => {
    expect(pages.flatMap(faultsIn)).toEqual([]);
  });

  it('link to pages and headings that exist', () => {
    expect(pages.flatMap(brokenLinks)).toEqual([]);
  });

  it('have a test of their own where they are not tested here', async () => {
    for (const [page, test] of ELSEWHERE) {
      if (wanted === '') expect(paths).toContain(page);
      expect(await readFile(join(root, test), 'utf8')).toContain(page);
    }
  });

  it.each(tested.map(({ path }) => path))(
    'do what they say: %s',
    async (path) => {
      const plan = plans.find(({ page }) => page.path === path)!;
      const passed = await testsOf(plan);
      if (plan.runs.length > 0) passed.push(...(await run(plan)));
      expect(passed).toEqual([]);
    },
    RUN_MS,
  );

  async function redisUrl(): Promise<string> {
    const url = new URL((await testRedis()).url);
    // A database that no other test uses, so that it can be flushed.
    url.pathname = '/9';
    return url.href;
  }

  /** A copy of the migrated database. */
  async function databaseOf(what: string): Promise<string> {
    const name = `${template.name}_${what}`.slice(0, 63);
    await postgres.query(`create database "${name}" template "${template.name}"`);
    databases.push(name);
    const url = new URL(template.url);
    url.pathname = `/${name}`;
    return url.href;
  }

  /** Runs a page with a migrated database, an empty Redis and a free port of its own. */
  async function run(plan: Plan): Promise<string[]> {
    const databaseUrl = await databaseOf(plan.page.slug);
    await redis.client.flushdb();
    return runPage(plan, { folder, databaseUrl, redisUrl: await redisUrl(), port: await freePort() });
  }

  async function testsOf({ page, tests: files }: Plan): Promise<string[]> {
    if (files.length === 0) return [];
    const results = await tests;
    return files.flatMap((file) => {
      const failed = results.get(join(page.slug, file.replace(/\.ts$/, '.js')));
      return failed === '' ? [] : `${page.path}: ${file}: ${failed}`;
    });
  }
});
