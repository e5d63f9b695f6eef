import { eventually, type Fixture, freePort, spawnFixture } from '@nestbox/testing';

const MAIN = new URL('../../apps/shop/dist/main.js', import.meta.url);

/** An answer, read to its end. */
export interface Reply {
  status: number;
  headers: Headers;
  text: string;
  /** The body as JSON; undefined where there is none. */
  json: unknown;
}

export interface Send {
  /** Sent as JSON. */
  body?: unknown;
  headers?: Record<string, string>;
  method?: string;
}

/** The shop as a process of its own, as `npm start` runs it, and a client for it. */
export class RunningShop implements AsyncDisposable {
  readonly url: string;

  constructor(
    readonly process: Fixture,
    readonly port: number,
  ) {
    this.url = `http://127.0.0.1:${port}`;
  }

  async send(method: string, path: string, { body, headers = {} }: Send = {}): Promise<Reply> {
    const response = await fetch(this.url + path, {
      method,
      headers: { ...(body !== undefined && { 'Content-Type': 'application/json' }), ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await response.text();
    return {
      status: response.status,
      headers: response.headers,
      text,
      json: text === '' ? undefined : parse(text),
    };
  }

  get(path: string, headers?: Record<string, string>): Promise<Reply> {
    return this.send('GET', path, { headers });
  }

  put(path: string, body: unknown, headers?: Record<string, string>): Promise<Reply> {
    return this.send('PUT', path, { body, headers });
  }

  delete(path: string, headers?: Record<string, string>): Promise<Reply> {
    return this.send('DELETE', path, { headers });
  }

  order(key: string, body: unknown): Promise<Reply> {
    return this.send('POST', '/orders', { body, headers: { 'Idempotency-Key': key } });
  }

  /** Resolves when it answers that it is ready; rejects when it ends instead. */
  async ready(): Promise<this> {
    let ended: string | undefined;
    void this.process.exited.then(({ code, signal }) => (ended = `The shop ended (${signal ?? code})`));
    const isReady = await eventually(
      async () => ended !== undefined || (await this.get('/health/ready')).status === 200,
      { timeoutMs: 30_000, intervalMs: 50 },
    );
    if (ended !== undefined || !isReady) {
      throw new Error(`${ended}: ${JSON.stringify(this.process.messages)}\n${this.process.stderr}`);
    }
    return this;
  }

  /** The messages of its log, except for errors. */
  get log(): string[] {
    return this.process.messages.map(messageOf);
  }

  /** What it has written to stderr: its log's errors, and what else there is. */
  get errors(): string[] {
    const lines = this.process.stderr.split('\n').filter((line) => line !== '');
    return lines.map((line) => messageOf(parse(line) ?? line));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.process.kill();
  }
}

/**
 * Starts the built shop on a free port, without what this process has set for itself, and does not wait.
 *
 * @param env such as `{ DATABASE_URL: … }`
 */
export async function spawnShop(env: Record<string, string>): Promise<RunningShop> {
  const port = Number(env['PORT'] ?? (await freePort()));
  const process = await spawnFixture(MAIN, {
    env: {
      NODE_ENV: '',
      HOST: '',
      DATABASE_URL: '',
      REDIS_URL: '',
      LOG_FORMAT: 'json',
      LOG_LEVEL: 'debug',
      ...env,
      PORT: String(port),
    },
  });
  return new RunningShop(process, port);
}

/** Starts the built shop and waits until it is ready. */
export async function startShop(env: Record<string, string>): Promise<RunningShop> {
  const shop = await spawnShop(env);
  try {
    return await shop.ready();
  } catch (error) {
    await shop[Symbol.asyncDispose]();
    throw error;
  }
}

function messageOf(line: unknown): string {
  return typeof line === 'object' && line !== null && 'message' in line ? String(line.message) : String(line);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
