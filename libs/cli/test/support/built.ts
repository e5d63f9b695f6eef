import { execFile, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** The command as it is installed. `npm run build` makes it. */
export const MAIN = fileURLToPath(new URL('../../dist/main.js', import.meta.url));

export interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Runs the built command as a process, with pipes. */
export function runBuilt(
  args: readonly string[],
  { env = {}, input = '', cwd }: { env?: Record<string, string>; input?: string; cwd?: string } = {},
): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = execFile(
      process.execPath,
      [MAIN, ...args],
      { env: cleanEnv(env), cwd, timeout: 60_000, maxBuffer: 64 * 1024 * 1024 },
      (error, stdout, stderr) => {
        if (error?.killed === true) reject(new Error(`nestbox ${args.join(' ')} did not end: ${stderr}`));
        else resolve({ code: child.exitCode, stdout, stderr });
      },
    );
    child.stdin!.on('error', () => undefined);
    child.stdin!.end(input);
  });
}

/** Runs the built command under a pseudo terminal, by script(1) of util-linux. What it shows is stdout and stderr in one. */
export class TerminalSession {
  private shown = '';
  private listeners = new Set<() => void>();
  readonly ended: Promise<number | null>;
  private constructor(private readonly child: ReturnType<typeof spawn>) {
    child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      this.shown += text;
      for (const listener of this.listeners) listener();
    });
    child.stdin!.on('error', () => undefined);
    this.ended = new Promise((resolve) => {
      child.once('close', (code) => {
        resolve(code);
        for (const listener of this.listeners) listener();
      });
    });
  }

  static start(
    args: readonly string[],
    { env = {}, columns = 80 }: { env?: Record<string, string>; columns?: number } = {},
  ): TerminalSession {
    const command = [process.execPath, MAIN, ...args].map(quoted).join(' ');
    const child = spawn('script', ['-qec', `stty cols ${columns}; exec ${command}`, '/dev/null'], {
      env: { ...cleanEnv(env), TERM: 'xterm', SHELL: '/bin/sh' },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    return new TerminalSession(child);
  }

  get text(): string {
    return this.shown;
  }

  type(text: string): void {
    this.child.stdin!.write(text);
  }

  async waitFor(wanted: string | RegExp, timeoutMs = 45_000): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    const isThere = (): boolean =>
      typeof wanted === 'string' ? this.shown.includes(wanted) : wanted.test(this.shown);
    while (!isThere()) {
      const left = deadline - performance.now();
      if (left <= 0) throw new Error(`${String(wanted)} did not appear in: ${this.shown}`);
      await new Promise<void>((resolve) => {
        const done = (): void => {
          clearTimeout(timer);
          this.listeners.delete(done);
          resolve();
        };
        const timer = setTimeout(done, left);
        this.listeners.add(done);
      });
    }
  }

  kill(): void {
    this.child.kill('SIGKILL');
  }
}

/** Without the servers that this shell happens to know. */
function cleanEnv(env: Record<string, string>): Record<string, string> {
  const { PATH = '', HOME = '' } = process.env;
  return { PATH, HOME, ...env };
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
