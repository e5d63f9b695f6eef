// npm run bench -- <suite> [--quick] [--json] [--only <text>]
import { existsSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';
import { printRows, printTables } from './lib/report.mjs';

const SUITES = ['kv', 'channels', 'hub', 'event-store', 'workflows', 'typeorm'];
const USAGE = `Usage: npm run bench -- <${SUITES.join(' | ')}> [--quick] [--json] [--only <text in a case's name>]

  --quick   fewer and shorter rounds; ends within two minutes
  --json    prints only { case, side, median, ratio } rows, one JSON array
  --only    runs the cases whose name contains the text

BENCH_DATABASE_URL and BENCH_REDIS_URL name servers to use; otherwise both are started with their default durability.`;

const { values: flags, positionals } = readArguments();
const suite = positionals[0];
if (!SUITES.includes(suite)) fail(USAGE);

installPeers();
const { runSuite } = await import(`./${suite}/index.mjs`);
const log = flags.json ? () => {} : (line) => console.log(line);
const report = await runSuite({ quick: flags.quick, only: flags.only, log });
if (flags.json) printRows(report);
else printTables(report);
process.exitCode = report.failures.length === 0 ? 0 : 1;

function readArguments() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        quick: { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
        only: { type: 'string', default: '' },
      },
    });
  } catch (error) {
    fail(`${error.message}\n\n${USAGE}`);
  }
}

/** The peers are this package's own dependencies, so that nobody who only uses the libraries installs them. */
function installPeers() {
  const folder = new URL('.', import.meta.url).pathname;
  if (existsSync(`${folder}node_modules/.package-lock.json`)) return;
  const npm = spawnSync('npm', ['ci', '--no-audit', '--no-fund'], { cwd: folder, stdio: ['ignore', 2, 2] });
  if (npm.status !== 0) fail('The peers could not be installed (npm ci in bench/ failed).');
}

function fail(message) {
  console.error(message);
  process.exit(2);
}
