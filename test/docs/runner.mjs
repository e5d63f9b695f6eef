// Runs the programs, commands and statements of a page, in its order, and reports over IPC.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { inspect, format } from 'node:util';
import postgres from 'postgres';

const plan = JSON.parse(process.argv[2]);
const { folder, runs, replaced } = plan;
const failures = [];
const loaded = new Set();
let printed = [];
let seen = new Set();
let run;

const EVENTUALLY_MS = 10_000;
const COMMAND_MS = 60_000;

for (const method of ['log', 'info', 'warn', 'error', 'debug'])
  console[method] = (...args) => print(format(...args));

function print(text) {
  printed.push(...text.split('\n').map((line) => line.trimEnd()));
}

function fail(line, message) {
  failures.push({ line, message });
}

/** `…` stands for any text. */
function matches(actual, expected) {
  const parts = expected
    .trim()
    .split('…')
    .map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${parts.join('.*')}$`, 's').test(actual.trim());
}

// Rows of postgres.js are an array with a name of its own.
function shown(value) {
  return inspect(value, { depth: 10, breakLength: Infinity, compact: true }).replace(/^Result\(\d+\) /, '');
}

function checkError(line, expected, error) {
  const [name, ...rest] = expected.split(': ');
  const names = [error?.constructor?.name, error?.name, error?.code];
  const message = rest.join(': ');
  if (names.includes(name) && (message === '' || matches(String(error.message), message))) return;
  fail(line, `it should throw ${expected}, and threw ${shown(error)}`);
}

globalThis.$doc = {
  step: (line) => doStep(run.steps.find((step) => step.line === line)),
  loaded: (file) => loaded.add(file),
  value(line, expected, actual) {
    seen.add(line);
    if (!matches(shown(actual), expected)) fail(line, `it should be ${expected}, and is ${shown(actual)}`);
    return actual;
  },
  async rejects(line, expected, fn) {
    seen.add(line);
    try {
      await fn();
    } catch (error) {
      return checkError(line, expected, error);
    }
    fail(line, `it should throw ${expected}, and threw nothing`);
  },
  throws(line, expected, fn) {
    seen.add(line);
    try {
      fn();
    } catch (error) {
      return checkError(line, expected, error);
    }
    fail(line, `it should throw ${expected}, and threw nothing`);
  },
};

/** Waits until a line is printed that was not asked for before. */
async function mustPrint(line, text) {
  const deadline = performance.now() + EVENTUALLY_MS;
  for (;;) {
    const at = printed.findIndex((one) => one !== undefined && matches(one, text));
    if (at >= 0) {
      printed[at] = undefined;
      return;
    }
    if (performance.now() > deadline) {
      const others = printed.filter((one) => one !== undefined);
      return fail(line, `it should print ${text}, and printed ${shown(others.slice(-30))}`);
    }
    await new Promise((resolve) => {
      setTimeout(resolve, 10);
    });
  }
}

async function doStep(step) {
  if (step.do === 'import') await import(join(folder, step.file.replace(/\.ts$/, '.js')));
  if (step.do === 'show')
    for (const text of step.text.split('\n')) if (text.trim() !== '') await mustPrint(step.line, text);
  if (step.do === 'sql') await statements(step);
  if (step.do === 'sh') await command(step);
}

async function statements({ line, text }) {
  const sql = postgres(process.env.DATABASE_URL, { max: 1, onnotice: () => {} });
  try {
    const result = await sql.unsafe(text);
    // One result for each statement, where there are several.
    const last = Array.isArray(result[0]) && 'statement' in result[0] ? result.at(-1) : result;
    for (const row of last)
      print(
        Object.values(row)
          .map((value) => (value === null ? '' : String(value)))
          .join(' | '),
      );
  } catch (error) {
    fail(line, `PostgreSQL says: ${error.message}`);
  } finally {
    await sql.end({ timeout: 1 });
  }
}

function command({ line, text }) {
  let script = text;
  for (const [here, there] of replaced) script = script.replaceAll(here, there);
  return new Promise((resolve) => {
    const bash = execFile(
      'bash',
      ['-euo', 'pipefail', '-c', script],
      { cwd: folder, env: { ...process.env, NODE_OPTIONS: '' }, timeout: COMMAND_MS },
      (error, stdout, stderr) => {
        print(stdout);
        print(stderr);
        if (error) fail(line, `the commands failed (${error.code ?? error.signal}): ${stdout}${stderr}`);
        resolve();
      },
    );
    // Nobody types anything.
    bash.stdin.end();
  });
}

/** Without its setup, nothing of the page can be run. */
async function isSetUp() {
  if (!plan.hasSetup) return true;
  try {
    await import(join(folder, 'setup.js'));
    return true;
  } catch (error) {
    fail(1, `the setup failed: ${error?.stack ?? error}`);
    return false;
  }
}

// A pause of the page may be the only thing under way, with a timer that keeps no process alive.
const alive = setInterval(() => {}, 60_000);
for (run of (await isSetUp()) ? runs : []) {
  printed = [];
  seen = new Set();
  try {
    if (run.program) await import(join(folder, `${run.program}.js`));
    else for (const step of run.steps) await doStep(step);
    for (const { line, text } of run.prints) await mustPrint(line, text);
    for (const line of run.values) if (!seen.has(line)) fail(line, 'this line was not run');
  } catch (error) {
    fail(
      run.line,
      `"${run.heading}" failed: ${error?.stack ?? error}${error?.cause ? `\ncause: ${shown(error.cause)}` : ''}`,
    );
  }
}
for (const file of plan.files)
  if (!loaded.has(file)) fail(0, `${file} is imported by nothing; say how it is used, or why it is not run`);
clearInterval(alive);
process.send({ failures }, () => process.exit(0));
