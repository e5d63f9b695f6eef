import { eventually } from '../eventually.js';
import { ask, isLinked } from './ask-redis.js';
import { launchRedis, type TestRedis } from './test-redis.js';

/** How many servers and sentinels are started. */
export interface StartRedisSentinelOptions {
  /** Default: 1. */
  replicas?: number;
  /** Default: 3, of which two must agree that the master is down. */
  sentinels?: number;
  /** After how many ms of silence the master counts as down. Default: 500. */
  downAfterMs?: number;
}

/** A master, its replicas and sentinels that watch them. Get one by {@link startRedisSentinel}. */
export class TestRedisSentinel implements AsyncDisposable {
  /** What the sentinels call the master. */
  readonly name = 'mymaster';

  /** @internal */
  constructor(
    /** The servers that hold data; the first is the master at the start. */
    readonly servers: readonly TestRedis[],
    private readonly watchers: readonly TestRedis[],
  ) {}

  /** Where clients ask for the master. */
  get sentinels(): { host: string; port: number }[] {
    return this.watchers.map(({ hostname, port }) => ({ host: hostname, port }));
  }

  /** The server that the sentinels agree is the master now. */
  async master(): Promise<TestRedis> {
    const ports = await Promise.all(this.watchers.map((sentinel) => this.askForMaster(sentinel)));
    const [port, ...others] = ports;
    const server = this.servers.find((candidate) => String(candidate.port) === port);
    if (server === undefined || others.some((other) => other !== port)) {
      throw new Error(`The sentinels do not agree on a master: ${ports.join(', ')}.`);
    }
    return server;
  }

  /** Stops all servers and removes their data. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.watchers, ...this.servers].map((server) => server[Symbol.asyncDispose]()));
  }

  private async askForMaster(sentinel: TestRedis): Promise<string | undefined> {
    const address = await ask(sentinel, 'SENTINEL', 'get-master-addr-by-name', this.name);
    return (address as string[])[1];
  }
}

/**
 * Starts a master with replicas and sentinels on free ports of 127.0.0.1, and waits until the sentinels know each
 * other and the replicas, so that a failover succeeds.
 *
 * @throws TestServerError as {@link startRedis} does
 */
export async function startRedisSentinel({
  replicas = 1,
  sentinels = 3,
  downAfterMs = 500,
}: StartRedisSentinelOptions = {}): Promise<TestRedisSentinel> {
  const servers: TestRedis[] = [];
  const watchers: TestRedis[] = [];
  const group = new TestRedisSentinel(servers, watchers);
  try {
    // Replicas are served at once, since no others will come.
    const fast = { 'repl-diskless-sync-delay': 0 };
    const master = await launchRedis({ settings: fast }, { hasPeers: true });
    servers.push(master);
    for (let i = 0; i < replicas; i++) {
      servers.push(
        await launchRedis(
          { settings: { ...fast, replicaof: `127.0.0.1 ${master.port}` } },
          { hasPeers: true },
        ),
      );
    }
    await Promise.all(servers.slice(1).map((replica) => eventually(() => isLinked(replica))));
    const configuration = [
      `sentinel monitor ${group.name} 127.0.0.1 ${master.port} ${Math.floor(sentinels / 2) + 1}`,
      `sentinel down-after-milliseconds ${group.name} ${downAfterMs}`,
      `sentinel failover-timeout ${group.name} 5000`,
    ];
    for (let i = 0; i < sentinels; i++) watchers.push(await startSentinel(configuration));
    await Promise.all(
      watchers.map((watcher) => eventually(() => knows(watcher, group.name, replicas, sentinels - 1))),
    );
  } catch (error) {
    await group[Symbol.asyncDispose]();
    throw error;
  }
  return group;
}

/** A sentinel writes down what it learns in the file of its configuration. */
function startSentinel(lines: readonly string[]): Promise<TestRedis> {
  return launchRedis({}, { hasPeers: true, configuration: { lines, args: ['--sentinel'] } });
}

async function knows(sentinel: TestRedis, name: string, replicas: number, others: number): Promise<void> {
  const followers = (await ask(sentinel, 'SENTINEL', 'replicas', name)) as unknown[][];
  const peers = (await ask(sentinel, 'SENTINEL', 'sentinels', name)) as unknown[][];
  const sound = followers.filter((fields) => fields[fields.indexOf('flags') + 1] === 'slave');
  if (sound.length < replicas || peers.length < others) {
    throw new Error(`${sentinel.url} knows ${sound.length} replicas and ${peers.length} other sentinels.`);
  }
}
