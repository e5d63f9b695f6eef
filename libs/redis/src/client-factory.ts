import {
  clusterOptions,
  dedicatedOptions,
  sharedDuplicateNodeOptions,
  sharedDuplicateOptions,
  singleOptions,
  subscriberOptions,
} from './client-options.js';
import { isClusterClient, type ClusterClient, type RedisClient, type SingleClient } from './driver.js';
import { guardedClients } from './guarded-clients.js';
import { RedisUnavailableError } from './redis.errors.js';
import type { Connection } from './redis.options.js';
import { watchForSilence } from './silence-watch.js';
import { StateLog } from './state-log.js';
import { WaitingRoom } from './waiting-room.js';

/** What sets a connection of its own apart from the shared one. */
export interface Dedication {
  purpose: string;
  blockMs: number;
}

/** The connection that all commands share: made from options, or the one that was given. */
export function createClient(connection: Connection): RedisClient {
  return connection.kind === 'shared' ? connection.client : createOwned(connection, undefined);
}

/** A further connection to the same Redis, which is ours in any case. */
export function createDedicated(connection: Connection, dedication: Dedication): RedisClient {
  if (connection.kind !== 'shared') return createOwned(connection, dedication);
  const { client } = connection;
  const duplicate = isClusterClient(client)
    ? client.duplicate([], {
        ...sharedDuplicateOptions(),
        // Else ioredis would send a command again whose connection was lost.
        retryDelayOnFailover: 0,
        redisOptions: {
          ...sharedDuplicateNodeOptions(),
          ...dedicatedOptions(client.options.redisOptions ?? {}, dedication),
        },
      })
    : client.duplicate({ ...sharedDuplicateOptions(), ...dedicatedOptions(client.options, dedication) });
  return watched(duplicate, connection, dedication.blockMs);
}

/**
 * A connection to one server, not yet made, that can subscribe. On a cluster to any node, since they pass messages
 * on to each other. It does not come back by itself when it is lost.
 */
export function createSubscriber(client: RedisClient, server: string): SingleClient {
  const nodes = isClusterClient(client) ? client.nodes() : [client];
  const node = nodes[Math.floor(Math.random() * nodes.length)];
  if (node === undefined) throw new RedisUnavailableError(server, 'has no node that can be reached', false);
  return node.duplicate(subscriberOptions(node.options));
}

/** Like {@link createSubscriber}, to one certain node of a cluster. @param node its host and port as ioredis has them */
export function createNodeSubscriber(client: ClusterClient, server: string, node: string): SingleClient {
  const found = client.nodes('all').find(({ options: { host, port } }) => `${host}:${port}` === node);
  if (found === undefined) throw new RedisUnavailableError(server, `has no node ${node} any more`, false);
  return found.duplicate(subscriberOptions(found.options));
}

function createOwned(
  connection: Exclude<Connection, { kind: 'shared' }>,
  dedication?: Dedication,
): RedisClient {
  const { server, settings } = connection;
  const room = new WaitingRoom(server, settings);
  const { Single, Cluster } = guardedClients();
  let client: RedisClient;
  if (connection.kind === 'single') {
    const options = singleOptions(connection.options, room);
    const own = dedication && dedicatedOptions(options, dedication);
    client = new Single({ ...options, ...own }, room, server);
  } else {
    const options = clusterOptions(connection.options);
    const own = dedication && {
      enableAutoPipelining: false,
      redisOptions: { ...options.redisOptions, ...dedicatedOptions(options.redisOptions, dedication) },
    };
    client = new Cluster(connection.nodes, { ...options, ...own }, room, server);
  }
  return watched(client, connection, dedication?.blockMs ?? 0);
}

function watched<T extends RedisClient>(client: T, { server, settings }: Connection, blockMs: number): T {
  new StateLog(server).watch(client);
  const timeoutMs = settings.answerTimeoutMs + blockMs;
  if (isClusterClient(client)) client.on('+node', (node: SingleClient) => watchForSilence(node, timeoutMs));
  else watchForSilence(client, timeoutMs);
  return client;
}
