import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connectRedis } from '../driver.js';
import { TestServerError } from '../errors.js';
import { freePort } from '../free-port.js';
import { ProcessHost } from './process-host.js';
import { findRedis } from './redis-binaries.js';
import type { ServerHost } from './server-host.js';

export interface StartRedisOptions {
  /** The port. Default: a free one. */
  port?: number;
  /** Whether data survives {@link TestRedis.stop} and {@link TestRedis.kill}. Default: false. */
  appendonly?: boolean;
  /** Server settings as in redis.conf, such as `{ 'maxmemory-policy': 'noeviction' }`, on top of ours. */
  settings?: Record<string, string | number>;
}

const START_TIMEOUT_MS = 30_000;
const PORT_ATTEMPTS = 5;

/** A Redis (or Valkey) server of its own for a test. Get one by {@link startRedis}. */
export class TestRedis implements AsyncDisposable {
  readonly hostname = '127.0.0.1';
  /** Such as `redis://127.0.0.1:15432`. */
  readonly url: string;

  private constructor(
    readonly port: number,
    private readonly host: ServerHost,
  ) {
    this.url = `redis://${this.hostname}:${port}`;
  }

  /** @internal */
  static async launch(port: number, host: ServerHost): Promise<TestRedis> {
    const server = new TestRedis(port, host);
    try {
      await server.start();
    } catch (error) {
      await host.remove();
      throw error;
    }
    return server;
  }

  /** The server's process id, or undefined when it does not run, or runs in a container. */
  get pid(): number | undefined {
    return this.host.pid;
  }

  /** Starts it again after {@link stop} or {@link kill}, on the same port; with the same data if `appendonly`. */
  async start(): Promise<void> {
    await this.host.start();
    await this.ready();
  }

  /** Stops it cleanly. */
  stop(): Promise<void> {
    return this.host.stop();
  }

  /** Ends it as a crash does. */
  kill(): Promise<void> {
    return this.host.kill();
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  /** Lets it hang (SIGSTOP): connections stay open, nothing is answered. */
  freeze(): Promise<void> {
    return this.host.freeze();
  }

  unfreeze(): Promise<void> {
    return this.host.unfreeze();
  }

  /** Stops it and removes its data. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.host.remove();
  }

  private async ready(): Promise<void> {
    const deadline = performance.now() + START_TIMEOUT_MS;
    for (;;) {
      const client = await connectRedis(this.url);
      try {
        await client.ping();
        return;
      } catch (error) {
        const failure = await this.host.failure();
        if (failure !== undefined || performance.now() > deadline) {
          throw new TestServerError(`Redis on port ${this.port} did not start: ${failure ?? 'timeout'}`, {
            cause: error,
          });
        }
      } finally {
        client.disconnect();
      }
      await sleep(10);
    }
  }
}

/**
 * Starts `redis-server` or `valkey-server` on a free port of 127.0.0.1, without password, and without persistence
 * unless asked. It ends with this process at the latest, however that ends, and does not keep it alive.
 *
 * Where there is no binary, root on a Debian-like system gets one by apt-get. With `TEST_SERVERS=containers` it is a
 * container of the image `TEST_REDIS_IMAGE` (default: `redis:8-alpine`).
 *
 * @throws TestServerError when there is no binary, with what to install, or when it does not start
 */
export function startRedis(options: StartRedisOptions = {}): Promise<TestRedis> {
  return launchRedis(options, []);
}

/**
 * @param extraArgs a configuration file or mode that must come first, such as `--sentinel`
 * @internal
 */
export async function launchRedis(
  { port: wantedPort, appendonly = false, settings = {} }: StartRedisOptions,
  portOffsets: readonly number[],
  argsFor?: (port: number, folder: string) => Promise<string[]>,
): Promise<TestRedis> {
  const command = await findRedis();
  for (let attempt = 1; ; attempt++) {
    const port = wantedPort ?? (await freePort(portOffsets));
    const folder = await mkdtemp(join(tmpdir(), 'nestbox-redis-'));
    const own = (await argsFor?.(port, folder)) ?? [
      '--port',
      String(port),
      '--bind',
      '127.0.0.1',
      '--dir',
      folder,
      '--save',
      '',
      // Without fsync, each write is still in the kernel's hands before it is answered.
      ...(appendonly ? ['--appendonly', 'yes', '--appendfsync', 'no'] : ['--appendonly', 'no']),
    ];
    const args = [
      ...own,
      ...Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]),
    ];
    try {
      return await TestRedis.launch(port, new ProcessHost({ command, args, folder, stopSignal: 'SIGTERM' }));
    } catch (error) {
      // Somebody else may have taken the port between our look and the server's start.
      if (
        wantedPort !== undefined ||
        attempt === PORT_ATTEMPTS ||
        !/address already in use/i.test(String(error))
      ) {
        throw error;
      }
    }
  }
}
