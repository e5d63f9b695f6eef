import { fork } from 'node:child_process';
import { join } from 'node:path';
import { NOT_RUN } from './not-run.js';
import { root } from './page.js';
import { SETUP, type Plan, type Run } from './programs.js';

const PAGE_MS = 120_000;

export interface Surroundings {
  /** The folder with the compiled modules of all pages. */
  folder: string;
  databaseUrl: string;
  redisUrl: string;
  /** Of the application that the page starts. */
  port: number;
}

/** What the pages call the servers and the application, and what they are here. */
function replacements({ databaseUrl, redisUrl, port }: Surroundings): [string, string][] {
  return [
    ['postgres://localhost/app', databaseUrl],
    ['redis://localhost', redisUrl],
    ['127.0.0.1:3000', `127.0.0.1:${port}`],
    ['localhost:3000', `127.0.0.1:${port}`],
  ];
}

/** The texts of programs know the servers by the environment. */
export function inCode(text: string): string {
  return text
    .replaceAll(`'postgres://localhost/app'`, `process.env['DATABASE_URL']!`)
    .replaceAll(`'redis://localhost'`, `process.env['REDIS_URL']!`)
    .replaceAll('.listen(3000)', `.listen(process.env['PORT']!)`)
    .replaceAll(/'(?<scheme>\w+):\/\/(?:127\.0\.0\.1|localhost):3000(?<path>[^']*)'/g, (_, scheme, path) => {
      return `\`${scheme}://127.0.0.1:\${process.env['PORT']}${path}\``;
    });
}

/**
 * Runs what a page says, in a process of its own.
 *
 * @returns what was not as the page says, as `docs/page.md:line: message`
 */
export function runPage(plan: Plan, surroundings: Surroundings): Promise<string[]> {
  const { folder, databaseUrl, redisUrl, port } = surroundings;
  const { path, slug } = plan.page;
  const order = {
    folder: join(folder, slug),
    runs: plan.runs.map(withoutNotRun),
    files: plan.files,
    hasSetup: plan.modules.some(({ file }) => file === SETUP),
    replaced: replacements(surroundings),
  };
  const child = fork(join(import.meta.dirname, 'runner.mjs'), [JSON.stringify(order)], {
    execArgv: ['--enable-source-maps'],
    cwd: order.folder,
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    env: {
      ...process.env,
      NODE_OPTIONS: '',
      NODE_ENV: 'development',
      NO_COLOR: '1',
      DATABASE_URL: databaseUrl,
      REDIS_URL: redisUrl,
      PORT: String(port),
      PATH: `${join(root, 'test/docs/bin')}:${process.env['PATH']}`,
    },
    timeout: PAGE_MS,
    killSignal: 'SIGKILL',
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-10_000)));
  let failures: { line: number; message: string }[] | undefined;
  child.on('message', (message: { failures: typeof failures }) => {
    failures = message.failures;
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => {
      const ended = [{ line: 0, message: `the process of the page ended (${signal ?? code}).` }];
      const found = (failures ?? ended).map(({ line, message }) => `${path}:${line}: ${message}`);
      resolve(found.length === 0 || said === '' ? found : [...found, said]);
    });
  });
}

/** Commands that are not run here are left out. */
function withoutNotRun(run: Run): Run {
  const steps = run.steps.map((step) => (step.do === 'sh' ? { ...step, text: runnable(step.text) } : step));
  return { ...run, steps };
}

export function runnable(commands: string): string {
  // A command may go on in the next lines.
  return commands
    .replaceAll('\\\n', '\\\u0000')
    .split('\n')
    .map((line) => (NOT_RUN.some(({ command }) => command.test(line)) ? ':' : line))
    .join('\n')
    .replaceAll('\\\u0000', '\\\n');
}
