import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { TestServerError } from './errors.js';
import { Guard } from './guard.js';

/** How a child process is started. */
export interface SpawnFixtureOptions {
  /** The program's arguments. */
  args?: readonly string[];
  /** Environment variables on top of this process'. */
  env?: Record<string, string>;
  /** Options for Node itself, such as `--expose-gc`. */
  execArgv?: readonly string[];
  /** The working folder. Default: this process'. */
  cwd?: string;
}

/** How a child process has ended: by itself, or by a signal. */
export interface FixtureExit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

/** A child process that a test watches, freezes and kills. Get one by {@link spawnFixture}. */
export class Fixture implements AsyncDisposable {
  /** All lines of stdout so far: parsed where they are JSON, else as text. */
  readonly messages: unknown[] = [];
  /** Resolves when the process has ended. Never rejects. */
  readonly exited: Promise<FixtureExit>;

  private readonly given = new Set<number>();
  private readonly listeners = new Set<() => void>();
  private readonly guard = new Guard();
  private errors = '';
  private ended: FixtureExit | undefined;

  /** @internal */
  constructor(
    private readonly child: ChildProcess,
    private readonly file: string,
  ) {
    this.exited = new Promise((resolve) => {
      child.once('close', (code, signal) => {
        this.ended = { code, signal };
        this.guard.watch([]);
        this.guard.end();
        resolve(this.ended);
        this.wake();
      });
    });
    this.guard.watch([this.pid]);
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.errors = (this.errors + text).slice(-100_000);
    });
    createInterface({ input: child.stdout! }).on('line', (line) => {
      this.messages.push(parse(line));
      this.wake();
    });
    child.stdin?.on('error', () => {
      // It ended before it read what we sent; `exited` tells.
    });
  }

  get pid(): number {
    return this.child.pid!;
  }

  /** What it wrote to stderr, up to the last 100,000 characters. */
  get stderr(): string {
    return this.errors;
  }

  /**
   * The earliest message that matches and that no earlier call was given: one that equals `wanted`, whose `type`
   * equals `wanted`, or for which `wanted` returns true.
   *
   * @param timeoutMs default: 10,000
   * @throws TestServerError when none comes in time, or the process ends without it; with what it wrote to stderr
   */
  async waitFor<T = unknown>(wanted: string | ((message: T) => boolean), timeoutMs = 10_000): Promise<T> {
    const deadline = performance.now() + timeoutMs;
    const matches =
      typeof wanted === 'function'
        ? wanted
        : (message: T) => message === wanted || typeOf(message) === wanted;
    for (;;) {
      const index = this.messages.findIndex((message, i) => !this.given.has(i) && matches(message as T));
      if (index >= 0) {
        this.given.add(index);
        return this.messages[index] as T;
      }
      const leftMs = deadline - performance.now();
      if (this.ended !== undefined || leftMs <= 0) {
        const what = typeof wanted === 'function' ? 'a message' : `'${wanted}'`;
        const why =
          this.ended === undefined
            ? `did not send ${what} within ${timeoutMs} ms`
            : `ended (${this.ended.signal ?? this.ended.code}) without sending ${what}`;
        throw new TestServerError(
          `${this.file} ${why}. It sent ${JSON.stringify(this.messages.slice(-20))}, and on stderr:\n${this.errors}`,
        );
      }
      await this.change(leftMs);
    }
  }

  /** Writes a line of JSON to its stdin. */
  send(message: unknown): void {
    this.child.stdin!.write(`${JSON.stringify(message)}\n`);
  }

  /** Signals it, and resolves when it has ended. Default: SIGKILL. For SIGSTOP see {@link freeze}. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<FixtureExit> {
    this.child.kill(signal);
    return this.exited;
  }

  /** Stops it without ending it (SIGSTOP). */
  freeze(): void {
    this.child.kill('SIGSTOP');
  }

  /** Lets it go on (SIGCONT). */
  unfreeze(): void {
    this.child.kill('SIGCONT');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }

  private wake(): void {
    for (const listener of this.listeners) listener();
  }

  private change(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.listeners.delete(done);
        resolve();
      };
      const timer = setTimeout(done, timeoutMs);
      this.listeners.add(done);
    });
  }
}

/**
 * Starts a Node program as a child process that talks by lines of JSON: what it writes to stdout are messages, see
 * {@link Fixture.waitFor}. It dies with this process.
 *
 * @param file its path, or `new URL('./fixtures/holder.mjs', import.meta.url)`
 */
export async function spawnFixture(file: string | URL, options: SpawnFixtureOptions = {}): Promise<Fixture> {
  const path = typeof file === 'string' ? file : fileURLToPath(file);
  const child = spawn(process.execPath, [...(options.execArgv ?? []), path, ...(options.args ?? [])], {
    cwd: options.cwd,
    // Jest's own flags are not the child's.
    env: { ...process.env, NODE_OPTIONS: '', ...options.env },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const fixture = once(child, 'spawn').then(() => new Fixture(child, path));
  return fixture;
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return line;
  }
}

function typeOf(message: unknown): unknown {
  return typeof message === 'object' && message !== null ? (message as { type?: unknown }).type : undefined;
}
