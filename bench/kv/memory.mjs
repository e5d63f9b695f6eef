import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/**
 * A million operations in a process of its own, whose heap is measured after a full collection.
 *
 * @returns the heap after each tenth of the operations, in bytes
 */
export async function measureMemory(databaseUrl, operations) {
  const script = fileURLToPath(new URL('./memory-child.mjs', import.meta.url));
  const child = spawn(process.execPath, ['--expose-gc', script, databaseUrl, String(operations)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text) => (output += text));
  const code = await new Promise((resolve) => child.on('close', resolve));
  if (code !== 0) throw new Error(`The memory run ended with code ${code}.`);
  return output.trim().split('\n').map(Number);
}
