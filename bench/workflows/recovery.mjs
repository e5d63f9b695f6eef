import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { spawnFixture } from '@nestbox/testing';
import { withDatabase } from '../event-store/databases.mjs';
import { median } from '../lib/statistics.mjs';
import { CONTENDERS } from './sides.mjs';

const CHILD = fileURLToPath(new URL('./recovery-child.mjs', import.meta.url));
/** The lease of our workers at its default, and a second. */
const TARGET_MS = 11_000;
const START_MS = 60_000;
const GIVE_UP_MS = 120_000;
/** A worker is killed at some point between two signs of life. */
const PHASE_MS = 2_500;

/** From the SIGKILL of a worker in the middle of a step until that step begins again elsewhere. */
export async function runRecovery({ serverUrl, settings: { recovery }, only, log, report }) {
  for (const { name } of CONTENDERS) {
    const title = `recovery after SIGKILL, ${name}`;
    if (!title.includes(only)) continue;
    log(`${title} …`);
    const times = [];
    for (let round = 0; round < recovery.rounds; round++) {
      const phaseMs = ((round + 0.5) / recovery.rounds) * PHASE_MS;
      times.push(await withDatabase(serverUrl, (url) => recover(name, url, phaseMs)));
    }
    report.notes.push(describe(name, times));
  }
}

async function recover(name, url, phaseMs) {
  const children = [];
  const worker = async (mode) => {
    const child = await spawnFixture(CHILD, { args: [name, url, mode] });
    children.push(child);
    await child.waitFor('ready', START_MS);
    return child;
  };
  try {
    const first = await worker('hang');
    await first.waitFor('step', START_MS);
    // DBOS leaves a run to the executor that had it: to the same process, started again, here at once.
    let second = name === 'dbos' ? undefined : await worker('go');
    await sleep(phaseMs);
    const start = performance.now();
    await first.kill('SIGKILL');
    second ??= await worker('go');
    await second.waitFor('step', GIVE_UP_MS);
    return performance.now() - start;
  } finally {
    for (const child of children) await child.kill('SIGKILL');
  }
}

function describe(name, times) {
  const all = times.map((ms) => (ms / 1000).toFixed(1)).join(', ');
  const text = `Recovery after SIGKILL, ${name}: median ${(median(times) / 1000).toFixed(1)} s (${all})`;
  if (name === 'dbos') return `${text}, by starting the process again at once; no other takes its runs over.`;
  if (name !== 'nestbox') return `${text}, by another worker.`;
  const worst = Math.max(...times);
  return `${text}, by another worker; target <= ${TARGET_MS / 1000} s ${worst <= TARGET_MS ? 'met' : 'MISSED'}.`;
}
