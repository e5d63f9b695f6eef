import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { withSides } from './sides.mjs';
import { itemsAdded } from './workload.mjs';

/** What reading may take above the baseline, in MB. */
const TARGET_MB = 40;
const WAYS = ['streamEvents', 'readAll', 'emmett readStream'];
const PER_CALL = 1_000;

/** The most memory that is taken while a long stream, and the log, are read from end to end. */
export async function runMemory({ serverUrl, settings: { streamed }, only, log, report }) {
  if (!'memory'.includes(only)) return;
  const count = streamed.toLocaleString('en-US');
  log(`memory while streaming ${count} events …`);
  await withSides(serverUrl, async (sides) => {
    for (const { plain } of sides) {
      for (let i = 0; i < streamed; i += PER_CALL) {
        await plain.appendToStream('history-1', itemsAdded(i, PER_CALL));
      }
    }
    for (const way of WAYS) {
      const { events, peak, live } = await measure(sides, way);
      if (events !== streamed) report.failures.push(`${way}: ${events} events instead of ${count}`);
      const verdict = (bytes) =>
        way.startsWith('emmett')
          ? ''
          : ` (target < ${TARGET_MB} MB ${bytes < TARGET_MB * 1e6 ? 'met' : 'MISSED'})`;
      report.notes.push(
        `Memory above the baseline (heap used and external) while reading ${count} events, ${way}: ` +
          `${(live / 1e6).toFixed(1)} MB held${verdict(live)}, ` +
          `${(peak / 1e6).toFixed(1)} MB with garbage that Node has not collected yet${verdict(peak)}.`,
      );
    }
  });
}

/** In a process of its own. */
async function measure(sides, way) {
  const { url } = sides.find(({ name }) => name === (way.startsWith('emmett') ? 'emmett' : 'nestbox'));
  const script = fileURLToPath(new URL('./memory-child.mjs', import.meta.url));
  const child = spawn(process.execPath, ['--expose-gc', script, url, way], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text) => (output += text));
  const code = await new Promise((resolve) => child.on('close', resolve));
  if (code !== 0) throw new Error(`The memory run ended with code ${code}.`);
  return JSON.parse(output);
}
