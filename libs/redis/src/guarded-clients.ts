import type { Callback, ClusterNode, Command } from 'ioredis';
import type { ClusterClientOptions, SingleOptions } from './client-options.js';
import { loadDriver, type ClusterClient, type Driver, type SingleClient } from './driver.js';
import { RedisUnavailableError, translateError } from './redis.errors.js';
import type { WaitingRoom } from './waiting-room.js';

/** The stream that ioredis passes for commands of a pipeline. */
type PipelineStream = Parameters<SingleClient['sendCommand']>[1];

type CommandItem = Parameters<SingleClient['handleReconnection']>[1];

interface GuardedClients {
  Single: new (options: SingleOptions, room: WaitingRoom, server: string) => SingleClient;
  Cluster: new (
    nodes: ClusterNode[],
    options: ClusterClientOptions,
    room: WaitingRoom,
    server: string,
  ) => ClusterClient;
}

/** What ioredis itself sends to make a connection ready. */
const HANDSHAKE = new Set(['hello', 'auth', 'select', 'client', 'readonly', 'info']);

let clients: GuardedClients | undefined;

/**
 * The classes of ioredis, with commands that wait in a {@link WaitingRoom} while there is no connection, and that fail
 * with {@link RedisUnavailableError} when the connection is the reason.
 */
export function guardedClients(): GuardedClients {
  clients ??= define(loadDriver());
  return clients;
}

function define(driver: Driver): GuardedClients {
  class GuardedRedis extends driver.Redis {
    readonly #room: WaitingRoom;
    readonly #server: string;
    #isLeaving = false;

    constructor(options: SingleOptions, room: WaitingRoom, server: string) {
      super(options);
      this.#room = room;
      this.#server = server;
      guardEvents(this, room);
      this.on('close', () => {
        this.#isLeaving = false;
      });
    }

    override sendCommand(command: Command, stream?: PipelineStream): unknown {
      if (this.status === 'connect' && stream === undefined && HANDSHAKE.has(command.name)) {
        if (command.name === 'select') this.#leaveIfRefused(command);
        return super.sendCommand(command, stream);
      }
      translateRejection(command, this.#server, this.#room);
      if ((this.status === 'ready' && !this.#room.isOccupied) || this.status === 'end') {
        return super.sendCommand(command, stream);
      }
      if (this.status === 'wait') connect(this);
      this.#room.enter(
        { deliver: () => super.sendCommand(command, stream), reject: (error) => command.reject(error) },
        stream,
      );
      return command.promise;
    }

    override handleReconnection(error: Error, item: CommandItem): void {
      // Sent again by itself, a command of a transaction would run outside of it.
      const inTransaction = 'inTransaction' in item.command && item.command.inTransaction === true;
      if (inTransaction && error.message.startsWith('READONLY')) {
        item.command.reject(error);
        this.#room.hold();
        this.disconnect(true);
      } else {
        super.handleReconnection(error, item);
      }
    }

    override disconnect(reconnect = false): void {
      if (!reconnect) this.#room.close();
      // ioredis asks once for every READONLY that arrives, and adds a listener each time.
      else if (this.#isLeaving) return;
      this.#isLeaving = true;
      super.disconnect(reconnect);
    }

    /** ioredis would go on in database 0, among data that is none of ours. */
    #leaveIfRefused(command: Command): void {
      const { reject } = command;
      command.reject = (error) => {
        reject.call(command, error);
        if (error.name === 'ReplyError') this.disconnect(true);
      };
    }
  }

  class GuardedCluster extends driver.Cluster {
    readonly #room: WaitingRoom;
    readonly #server: string;

    constructor(nodes: ClusterNode[], options: ClusterClientOptions, room: WaitingRoom, server: string) {
      super(nodes, options);
      this.#room = room;
      this.#server = server;
      guardEvents(this, room);
      this.on('node error', (error: unknown) => room.note(error));
    }

    override sendCommand(command: Command, stream?: PipelineStream, node?: unknown): unknown {
      // The check whether the cluster is ready is a CLUSTER command.
      if (this.status === 'connect' && command.name === 'cluster')
        return super.sendCommand(command, stream, node);
      translateRejection(command, this.#server, this.#room);
      if ((this.status === 'ready' && !this.#room.isOccupied) || this.status === 'end') {
        return super.sendCommand(command, stream, node);
      }
      if (this.status === 'wait') connect(this);
      this.#room.enter(
        { deliver: () => super.sendCommand(command, stream, node), reject: (error) => command.reject(error) },
        stream,
      );
      return command.promise;
    }

    /** Where pipelines wait until it is known which node has which slots. */
    override delayUntilReady(callback: Callback): void {
      this.#room.enter({ deliver: () => callback(), reject: (error) => callback(error) });
    }

    override disconnect(reconnect = false): void {
      if (!reconnect) this.#room.close();
      super.disconnect(reconnect);
    }
  }

  return { Single: GuardedRedis, Cluster: GuardedCluster };
}

function guardEvents(client: SingleClient | ClusterClient, room: WaitingRoom): void {
  client.on('error', (error: unknown) => room.note(error));
  client.on('close', () => room.down());
  client.on('ready', () => {
    if (client.status === 'ready') room.open();
  });
  client.on('end', () => room.close());
}

function connect(client: SingleClient | ClusterClient): void {
  client.connect().catch(() => {
    // Told by the `error` event, and by the commands that wait; it tries again by itself.
  });
}

function translateRejection(command: Command, server: string, room: WaitingRoom): void {
  const { reject } = command;
  command.reject = (error) => {
    const translated = translateError(error, server, room.lastError);
    // An error of another kind that Redis replied is passed on as it is.
    reject.call(command, translated instanceof RedisUnavailableError ? translated : error);
  };
}
