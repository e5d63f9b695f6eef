import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { eventually } from '@nestbox/testing';
import type { Step } from './tutorial.js';

const START_MS = 60_000;
const ASSIGNMENT = /^\w+=/;

/** Somebody who does what a page says, in a terminal, and keeps the application running in another one. */
export class Reader {
  /** What the commands have printed that the page shows the output of, beside what it shows. */
  readonly seen: { line: number; printed: string; shown: string }[] = [];

  #folder: string;
  readonly #tarballs: ReadonlyMap<string, string>;
  readonly #port: number;
  readonly #more: Readonly<Record<string, string>>;
  /** The variables that earlier commands have set. */
  readonly #variables: string[] = [];
  #app: ChildProcess | undefined;
  #said = '';

  /**
   * @param options.tarballs of the packages that take the place of those in the registry
   * @param options.port of the application
   * @param options.env further variables
   */
  constructor(options: {
    folder: string;
    port: number;
    tarballs?: ReadonlyMap<string, string>;
    env?: Readonly<Record<string, string>>;
  }) {
    this.#folder = options.folder;
    this.#tarballs = options.tarballs ?? new Map();
    this.#port = options.port;
    this.#more = options.env ?? {};
  }

  async do(step: Step): Promise<void> {
    if (step.do === 'write') return this.#write(step.path, step.content);
    const commands = step.commands.trimEnd().split('\n');
    const starts = commands.at(-1) === 'npm start';
    if (starts) await this.interrupt();
    const printed = await this.#run(starts ? commands.slice(0, -1) : commands, step.line);
    if (starts) return this.start(step.shown ?? '');
    if (step.shown !== undefined) this.seen.push({ line: step.line, printed, shown: step.shown });
  }

  /** `npm start`, until it has said what the page shows. */
  async start(shown: string): Promise<void> {
    this.#said = '';
    // A group of its own, so that it can be ended as by a terminal.
    const app = spawn('npm', ['start'], { cwd: this.#folder, env: this.#env(), detached: true });
    this.#app = app;
    for (const stream of [app.stdout, app.stderr])
      stream.on('data', (chunk: Buffer) => (this.#said += chunk.toString()));
    await eventually(
      () => {
        if (!this.#said.includes(this.#here(shown).trim())) throw new Error(`It said: ${this.#said}`);
      },
      { timeoutMs: START_MS },
    );
  }

  /** Ctrl-C; resolves when the application has ended. */
  interrupt(): Promise<void> {
    return this.#end('SIGINT');
  }

  kill(): Promise<void> {
    return this.#end('SIGKILL');
  }

  #env(): NodeJS.ProcessEnv {
    const { DATABASE_URL: _, NODE_ENV: __, NODE_OPTIONS: ___, ...env } = process.env;
    return { ...env, PORT: String(this.#port), ...this.#more };
  }

  /** The page's address, as it is here. */
  #here(text: string): string {
    return text.replaceAll('127.0.0.1:3000', `127.0.0.1:${this.#port}`);
  }

  async #write(path: string, content: string): Promise<void> {
    const file = join(this.#folder, path);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, content);
  }

  async #run(commands: readonly string[], line: number): Promise<string> {
    const whereabouts = join(this.#folder, '.whereabouts');
    const script = [
      'set -e',
      ...this.#variables,
      ...commands.map((command) => this.#installable(this.#here(command))),
      `pwd > '${whereabouts}'`,
    ];
    this.#variables.push(...commands.filter((command) => ASSIGNMENT.test(command)).map((c) => this.#here(c)));
    const { stdout } = await promisify(execFile)('bash', ['-c', script.join('\n')], {
      cwd: this.#folder,
      env: this.#env(),
    }).catch((error: Error & { stdout: string; stderr: string }) => {
      throw new Error(`The commands of line ${line} failed: ${error.stdout}${error.stderr}`);
    });
    this.#folder = (await readFile(whereabouts, 'utf8')).trim();
    return stdout;
  }

  /** The packed libraries take the place of those in the registry, together with the ones that they depend on. */
  #installable(command: string): string {
    if (!command.startsWith('npm install') || !command.includes('@nestbox/')) return command;
    const named = [...this.#tarballs].map(([name, tarball]) => `'${name}@file:${tarball}'`);
    const others = command.replaceAll(/@nestbox\/[a-z-]+/g, '');
    return `${others} ${named.join(' ')} --prefer-offline --no-audit --no-fund`;
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const app = this.#app;
    this.#app = undefined;
    if (app?.pid === undefined || app.exitCode !== null || app.signalCode !== null) return;
    const exited = new Promise((resolve) => app.once('exit', resolve));
    process.kill(-app.pid, signal);
    await exited;
  }
}
