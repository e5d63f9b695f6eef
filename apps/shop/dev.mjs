// `npm run dev`: compiles the libraries and the shop as they change, and restarts the shop after each build without
// errors. `node --watch` would restart in the middle of a build, and does not see the libraries' .sql files.
import { spawn } from 'node:child_process';
import { readdirSync, watch } from 'node:fs';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));
const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');

/** Changes that come within this time are one change. */
const SETTLE_MS = 150;

let shop;
let settled;
let stopping = false;
/** Restarts wait for each other. */
let restarting = Promise.resolve();

function say(text) {
  process.stdout.write(`[dev] ${text}\n`);
}

/** A process in a group of its own: Ctrl-C reaches only this one, which passes it on once. */
function start(args, stdio) {
  const child = spawn(process.execPath, args, { cwd: root, detached: true, stdio });
  child.ended = new Promise((resolve) => {
    child.once('error', resolve);
    child.once('exit', (code, signal) => resolve(signal ?? code));
  });
  return child;
}

async function stop(child) {
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGTERM');
  await child.ended;
}

async function restart(why) {
  await stop(shop);
  if (stopping) return;
  say(`${why}; starting the shop`);
  const started = start(['apps/shop/dist/main.js'], 'inherit');
  shop = started;
  void started.ended.then((how) => {
    if (shop === started && !stopping && how !== 'SIGTERM' && how !== 0)
      say(`The shop ended (${how}); waiting for a change`);
  });
}

function requestRestart(why) {
  clearTimeout(settled);
  settled = setTimeout(() => {
    restarting = restarting.then(() => restart(why));
  }, SETTLE_MS);
}

const compiler = start(
  [tsc, '-b', 'tsconfig.build.json', '--watch', '--preserveWatchOutput'],
  ['ignore', 'pipe', 'inherit'],
);
createInterface({ input: compiler.stdout }).on('line', (line) => {
  const errors = /Found (\d+) errors?\. Watching/.exec(line)?.[1];
  if (errors === '0') requestRestart('Built');
  else if (line.trim() !== '') process.stdout.write(`${line}\n`);
});
void compiler.ended.then((how) => {
  if (!stopping) void end(`The compiler ended (${how})`, 1);
});

for (const lib of readdirSync(new URL('../../libs/', import.meta.url))) {
  const folder = new URL(`../../libs/${lib}/sql/`, import.meta.url);
  try {
    watch(folder, (_event, file) => {
      if (file?.endsWith('.sql')) requestRestart(`libs/${lib}/sql/${file} changed`);
    });
  } catch (error) {
    // Not every library has SQL.
    if (error.code !== 'ENOENT') throw error;
  }
}

async function end(why, code) {
  if (stopping) return;
  stopping = true;
  clearTimeout(settled);
  say(`${why}; stopping`);
  await Promise.all([restarting.then(() => stop(shop)), stop(compiler)]);
  process.exit(code);
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => void end(signal, 0));

// npm's shell does not pass on the SIGTERM that npm was sent: it ends, and we are left.
const parent = process.ppid;
setInterval(() => {
  if (process.ppid !== parent) void end('End of npm', 0);
}, 250).unref();
