import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { root } from './page.js';
import type { Plan } from './programs.js';

const TESTS_MS = 120_000;

interface Report {
  testResults: { name: string; message: string; status: string; assertionResults: { status: string }[] }[];
}

/**
 * Runs the tests that pages show, all of them at once: those that import `node:test` by Node, the others by Jest in ESM.
 *
 * @returns of each file, relative to the folder, what failed; empty where it passed
 */
export async function runTests(
  folder: string,
  plans: readonly Plan[],
  databaseUrl: string,
): Promise<Map<string, string>> {
  const files = plans.flatMap(({ page, modules, tests }) =>
    modules
      .filter(({ file }) => tests.includes(file))
      .map(({ file, text }) => ({
        path: join(page.slug, file.replace(/\.ts$/, '.js')),
        ofNode: text.includes('node:test'),
      })),
  );
  const results = new Map<string, string>();
  const run = (args: readonly string[]) =>
    promisify(execFile)(process.execPath, args, {
      cwd: folder,
      env: { ...process.env, NODE_OPTIONS: '', DATABASE_URL: databaseUrl },
      timeout: TESTS_MS,
    }).then(
      () => '',
      (error: Error & { stdout: string; stderr: string }) => `${error.stdout}${error.stderr}`,
    );
  for (const { path } of files.filter(({ ofNode }) => ofNode)) results.set(path, await run(['--test', path]));
  const ofJest = files.filter(({ ofNode }) => !ofNode).map(({ path }) => path);
  if (ofJest.length === 0) return results;

  const config = {
    rootDir: folder,
    testEnvironment: 'node',
    transform: {},
    testMatch: ofJest.map((path) => `<rootDir>/${path}`),
    testTimeout: 30_000,
  };
  await writeFile(join(folder, 'jest.config.json'), JSON.stringify(config));
  const report = join(folder, 'jest-report.json');
  const said = await run([
    '--experimental-vm-modules',
    '--disable-warning=ExperimentalWarning',
    join(root, 'node_modules/jest/bin/jest.js'),
    '--config=jest.config.json',
    '--json',
    `--outputFile=${report}`,
    '--maxWorkers=1',
    // The setup of a page may have started an application, which nothing closes.
    '--forceExit',
  ]);
  const { testResults } = await readFile(report, 'utf8').then(
    (text) => JSON.parse(text) as Report,
    () => ({ testResults: [] }),
  );
  for (const path of ofJest) {
    const result = testResults.find(({ name }) => name.endsWith(path));
    const isPassed = result?.status === 'passed' && result.assertionResults.length > 0;
    results.set(path, isPassed ? '' : (result?.message ?? said) || 'It has no test.');
  }
  return results;
}
