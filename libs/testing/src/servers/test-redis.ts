import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connectRedis } from '../driver.js';
import { TestServerError } from '../errors.js';
import { freePort } from '../free-port.js';
import { ContainerHost } from './container-host.js';
import { containerHostname, redisImage, useContainers } from './containers.js';
import { ProcessHost } from './process-host.js';
import { findRedis } from './redis-binaries.js';
import type { ServerHost } from './server-host.js';

/** Which Redis is started, and how. */
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
const CONTAINER_PORT = 6379;

/** A Redis (or Valkey) server of its own for a test. Get one by {@link startRedis}. */
export class TestRedis implements AsyncDisposable {
  /** Such as `redis://127.0.0.1:15432`. */
  readonly url: string;

  private constructor(
    readonly hostname: string,
    readonly port: number,
    private readonly host: ServerHost,
  ) {
    this.url = `redis://${hostname}:${port}`;
  }

  /** @internal */
  static async launch(hostname: string, port: number, host: ServerHost): Promise<TestRedis> {
    const server = new TestRedis(hostname, port, host);
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

  get isRunning(): boolean {
    return this.host.isRunning;
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
  return launchRedis(options);
}

/** How a server differs from one that stands by itself. */
export interface RedisLaunch {
  /** Further ports that it needs, as offsets. */
  portOffsets?: readonly number[];
  /** Whether it talks to other servers of the test, so that all must see the same addresses. */
  hasPeers?: boolean;
  /** A configuration file that the server itself writes to, and what comes after it. */
  configuration?: { lines: readonly string[]; args: readonly string[] };
}

/** @internal */
export function launchRedis(options: StartRedisOptions, launch: RedisLaunch = {}): Promise<TestRedis> {
  return useContainers() ? launchInContainer(options, launch) : launchProcess(options, launch);
}

async function launchProcess(options: StartRedisOptions, launch: RedisLaunch): Promise<TestRedis> {
  const command = await findRedis();
  for (let attempt = 1; ; attempt++) {
    const port = options.port ?? (await freePort(launch.portOffsets));
    const folder = await mkdtemp(join(tmpdir(), 'nestbox-redis-'));
    const { args, files } = redisArgs(options, launch, { port, folder, address: '127.0.0.1' });
    for (const [path, content] of Object.entries(files)) await writeFile(path, content);
    try {
      const host = new ProcessHost({ command, args, folder, stopSignal: 'SIGTERM' });
      return await TestRedis.launch('127.0.0.1', port, host);
    } catch (error) {
      // Somebody else may have taken the port between our look and the server's start.
      if (
        options.port !== undefined ||
        attempt === PORT_ATTEMPTS ||
        !/address already in use/i.test(String(error))
      ) {
        throw error;
      }
    }
  }
}

async function launchInContainer(options: StartRedisOptions, launch: RedisLaunch): Promise<TestRedis> {
  const { image, command } = redisImage();
  const port = options.port ?? (await freePort(launch.portOffsets));
  const where = launch.hasPeers
    ? { port, address: '127.0.0.1' }
    : { port: CONTAINER_PORT, address: '0.0.0.0' };
  const { args, files } = redisArgs(options, launch, { ...where, folder: '/data' });
  const host = new ContainerHost({
    image,
    command: [command, ...args],
    files,
    ...(!launch.hasPeers && { ports: { container: CONTAINER_PORT, host: port } }),
  });
  return TestRedis.launch(launch.hasPeers ? '127.0.0.1' : await containerHostname(), port, host);
}

function redisArgs(
  { appendonly = false, settings = {} }: StartRedisOptions,
  { configuration }: RedisLaunch,
  { port, folder, address }: { port: number; folder: string; address: string },
): { args: string[]; files: Record<string, string> } {
  if (configuration !== undefined) {
    const file = `${folder}/redis.conf`;
    const lines = [`port ${port}`, `bind ${address}`, `dir ${folder}`, ...configuration.lines, ''];
    return { args: [file, ...configuration.args], files: { [file]: lines.join('\n') } };
  }
  const all = {
    port,
    bind: address,
    'protected-mode': 'no',
    dir: folder,
    save: '',
    appendonly: appendonly ? 'yes' : 'no',
    // Without fsync, each write is still in the kernel's hands before it is answered.
    appendfsync: 'no',
    ...settings,
  };
  return { args: Object.entries(all).flatMap(([name, value]) => [`--${name}`, String(value)]), files: {} };
}
