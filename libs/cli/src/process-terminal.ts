import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Terminal } from './terminal.js';

/** The terminal, or the pipes, of this process. */
export function processTerminal(): Terminal {
  const { stdin, stdout, stderr } = process;
  const controller = new AbortController();
  let isShowing = false;

  const clear = (): void => {
    if (isShowing) stderr.write('\r\u001B[K');
    isShowing = false;
  };

  return {
    columns: stdout.isTTY ? stdout.columns : undefined,
    out(text) {
      clear();
      stdout.write(`${text}\n`);
    },
    error(text) {
      clear();
      stderr.write(`${text}\n`);
    },
    async flush() {
      if (stdout.writableNeedDrain) await once(stdout, 'drain');
    },
    progress: stderr.isTTY
      ? (line) => {
          clear();
          if (line === '') return;
          stderr.write(line.slice(0, Math.max(20, stderr.columns - 1)));
          isShowing = true;
        }
      : undefined,
    ask: stdin.isTTY && stderr.isTTY ? (question) => ask(question) : undefined,
    input: stdin,
    interruption() {
      const abort = (): void => controller.abort();
      process.once('SIGINT', abort).once('SIGTERM', abort);
      return controller.signal;
    },
  };
}

/** Anything but y or yes is a no: also the end of the input, and Ctrl-C. */
function ask(question: string): Promise<boolean> {
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  return new Promise((resolve) => {
    lines.once('close', () => resolve(false));
    lines.once('SIGINT', () => {
      process.stderr.write('\n');
      lines.close();
    });
    lines.question(question, (answer) => {
      resolve(/^y(es)?$/i.test(answer.trim()));
      lines.close();
    });
  });
}
