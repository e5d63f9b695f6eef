import { once, setMaxListeners } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { getChannelsToken, type ChannelService, type LocalChannel } from '@nestbox/channels';
import { ClosedError, InvalidArgumentError, TimeoutError, messageOf } from '@nestbox/core';
import type { INestApplicationContext } from '@nestjs/common';
import { WsAdapter } from '@nestjs/platform-ws';
import type { MessageMappingProperties } from '@nestjs/websockets';
import { EMPTY, catchError, filter, fromEvent, mergeMap, takeUntil, type Observable } from 'rxjs';
import type { ServerOptions, VerifyClientCallbackAsync, WebSocket, WebSocketServer } from 'ws';
import { CloseCode } from './close-codes.js';
import { connect } from './connected-channel.js';
import { Handshake, Refusal, type Admission } from './handshake.js';
import { Heartbeat } from './heartbeat.js';
import { settingsOf, type NestboxWsAdapterOptions, type WsSettings } from './nestbox-ws-adapter.options.js';
import { TickCork } from './tick-cork.js';
import { Upgrades } from './upgrades.js';
import { userVerdict } from './user-verdict.js';
import { WsConnection } from './ws-connection.js';

type ConnectListener = (client: WebSocket, request: IncomingMessage) => void;
/** What stands in `@WebSocketGateway`; what is not of Nest goes to ws. */
type GatewayOptions = ServerOptions & { namespace?: string; server?: Server };

/** How long a channel may take to open. */
const OPEN_MS = 10_000;
/** The port that stands for the application's own HTTP server. */
const APPLICATION = 0;

/**
 * Gives every WebSocket of the gateways a channel: `app.useWebSocketAdapter(new NestboxWsAdapter(app))`.
 *
 * Whoever may connect is decided before the upgrade. Handlers run when the channel is open; what a client sends before
 * waits. A client that does not answer pings, or does not read what it is sent, is closed.
 */
export class NestboxWsAdapter extends WsAdapter {
  private readonly settings: WsSettings;
  private readonly handshake: Handshake;
  private readonly heartbeat: Heartbeat | undefined;
  private readonly closing = new AbortController();
  private readonly connections = new Set<WsConnection>();
  private readonly ofClient = new WeakMap<WebSocket, WsConnection>();
  private readonly admissions = new WeakMap<IncomingMessage, Admission>();
  private readonly listeners = new Map<WebSocketServer, ConnectListener[]>();
  private readonly upgrades = new Upgrades();
  private readonly ownServers: Server[] = [];
  private readonly cork = new TickCork();
  private channels: ChannelService | undefined;
  /** Connections that are being decided about. */
  private pending = 0;

  /** @throws InvalidArgumentError */
  constructor(
    private readonly app: INestApplicationContext,
    private readonly options: NestboxWsAdapterOptions = {},
  ) {
    super(app, { messageParser: options.messageParser });
    // Each connection that is being decided about listens.
    setMaxListeners(0, this.closing.signal);
    this.settings = settingsOf(options);
    this.handshake = new Handshake(options, this.closing.signal, this.logger);
    const { heartbeat } = this.settings;
    if (heartbeat !== undefined) {
      this.heartbeat = new Heartbeat(this.connections, heartbeat.intervalMs, heartbeat.timeoutMs);
    }
  }

  /** @throws InvalidArgumentError when the application has no such ChannelModule */
  override create(port: number, options: GatewayOptions = {}): WebSocketServer {
    this.channels ??= this.findChannels();
    const { maxPayload } = this.settings;
    const path = pathOf(options.path);
    const verifyClient: VerifyClientCallbackAsync = (info, answer) =>
      void this.verify(info, path, options.verifyClient, answer);
    const server = super.create(port, { maxPayload, ...options, verifyClient }) as WebSocketServer;
    if (!this.listeners.has(server)) {
      this.listeners.set(server, []);
      server.on('connection', (client, request) => void this.accept(server, client, request));
    }
    this.heartbeat?.start();
    return server;
  }

  override bindClientConnect(server: WebSocketServer, callback: ConnectListener): void {
    const listeners = this.listeners.get(server);
    if (listeners === undefined) super.bindClientConnect(server, callback);
    else listeners.push(callback);
  }

  /** As in Nest's own adapter, but that answers share the limits of the channel, and one that is no JSON is logged. */
  override bindMessageHandlers(
    client: WebSocket,
    handlers: MessageMappingProperties[],
    transform: (data: unknown) => Observable<unknown>,
  ): void {
    const byEvent = new Map(handlers.map((handler) => [handler.message as string, handler]));
    fromEvent(client, 'message')
      .pipe(
        mergeMap((message) =>
          this.bindMessageHandler(message, byEvent, transform).pipe(
            filter((result) => result !== undefined && result !== null),
            catchError((error: unknown) => {
              this.logger.error(error);
              return EMPTY;
            }),
          ),
        ),
        takeUntil(fromEvent(client, 'close')),
      )
      .subscribe((answer: unknown) => this.answer(client, answer));
  }

  override bindErrorHandler(server: WebSocketServer): WebSocketServer {
    return server.on('error', (error) => this.logger.error(error));
  }

  /** Ends the sockets of a gateway with 1001, and those that do not answer without a word. */
  override async close(server: WebSocketServer): Promise<void> {
    this.closing.abort();
    this.heartbeat?.stop();
    const closed = new Promise<void>((resolve) => {
      // An error says that it is closed already.
      server.close(() => resolve());
    });
    const clients = [...(server.clients ?? [])];
    await Promise.all(clients.map((client) => this.end(client)));
    await closed;
  }

  override async dispose(): Promise<void> {
    this.closing.abort();
    this.heartbeat?.stop();
    this.upgrades.stop();
    for (const server of this.ownServers.splice(0)) server.closeAllConnections();
    await super.dispose();
  }

  /** Nest's own listener destroys what it does not know, also where somebody else would have answered. */
  protected override ensureHttpServerExists(port: number, httpServer?: Server): Server | undefined {
    if (this.httpServersRegistry.has(port)) return undefined;
    const server = httpServer ?? createServer();
    this.httpServersRegistry.set(port, server);
    if (port !== APPLICATION) {
      this.ownServers.push(server);
      server.on('error', (error) => this.logger.error(error));
    }
    this.upgrades.listen(server, () => this.wsServersRegistry.get(port) ?? []);
    return server;
  }

  /** Never rejects. */
  private async verify(
    info: { origin: string; secure: boolean; req: IncomingMessage },
    path: string,
    own: ServerOptions['verifyClient'],
    answer: (accepted: boolean, status?: number, message?: string) => void,
  ): Promise<void> {
    if (this.connections.size + this.pending >= this.settings.maxConnections) {
      answer(false, 503);
      return;
    }
    this.pending++;
    try {
      const decision = (await userVerdict(own, info)) ?? (await this.handshake.decide(info.req, path));
      if (decision instanceof Refusal) {
        answer(false, decision.status, decision.message);
      } else {
        this.admissions.set(info.req, decision);
        // The connection event comes before this returns, unless the client is gone.
        answer(true);
      }
    } catch (error) {
      this.logger.error(error);
      answer(false, 500);
    } finally {
      this.pending--;
    }
  }

  private async accept(server: WebSocketServer, client: WebSocket, request: IncomingMessage): Promise<void> {
    const { maxBufferedBytes, closeTimeoutMs } = this.settings;
    // Whatever is wrong with a socket closes it, and is a matter of the client.
    client.on('error', (error) => this.logger.debug(`A WebSocket failed: ${messageOf(error)}`));
    const connection = new WsConnection(client, { maxBufferedBytes, closeTimeoutMs, cork: this.cork });
    this.connections.add(connection);
    this.ofClient.set(client, connection);
    let channel: LocalChannel | undefined;
    client.once('close', (code) => {
      this.connections.delete(connection);
      channel?.close(code);
    });
    try {
      channel = await this.open(connection, request);
      if (channel === undefined) return;
      connect(client, channel);
      for (const listener of this.listeners.get(server) ?? []) listener(client, request);
    } catch (error) {
      this.logger.error(error);
      connection.close(CloseCode.internalError, 'internal error');
    }
    connection.start();
  }

  /** Never rejects. @returns undefined when it could not be opened, or when the client is gone meanwhile */
  private async open(connection: WsConnection, request: IncomingMessage): Promise<LocalChannel | undefined> {
    const admission = this.admissions.get(request);
    const { client } = connection;
    let timer: NodeJS.Timeout | undefined;
    try {
      if (this.closing.signal.aborted) throw new ClosedError('NestboxWsAdapter');
      if (admission === undefined) throw new Error('The upgrade has not been decided about.');
      const opening = this.channels!.open({ ...admission, transport: connection });
      const timeout = new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(new TimeoutError('open the channel', OPEN_MS)), OPEN_MS).unref();
      });
      const channel = await Promise.race([opening, timeout]).catch((error: unknown) => {
        // One that is opened in the end has nobody.
        opening.then(
          (late) => late.close(),
          () => undefined,
        );
        throw error;
      });
      if (!channel.closed.aborted && client.readyState === client.OPEN) return channel;
      channel.close();
    } catch (error) {
      if (error instanceof ClosedError) {
        connection.close(CloseCode.goingAway, 'going away');
      } else if (error instanceof InvalidArgumentError) {
        this.logger.error(`The channel of a WebSocket could not be opened: ${error.message}`);
        connection.close(CloseCode.internalError, 'internal error');
      } else {
        this.logger.warn(`The channel of a WebSocket could not be opened: ${messageOf(error)}`);
        connection.close(CloseCode.tryAgainLater, 'try again later');
      }
    } finally {
      clearTimeout(timer);
    }
    return undefined;
  }

  private answer(client: WebSocket, answer: unknown): void {
    try {
      const text = JSON.stringify(answer) as string | undefined;
      if (text !== undefined) {
        this.ofClient.get(client)?.send({ data: Buffer.from(text), binary: false });
      }
    } catch (error) {
      this.logger.error(error);
    }
  }

  private async end(client: WebSocket): Promise<void> {
    if (client.readyState === client.CLOSED) return;
    const closed = once(client, 'close');
    const connection = this.ofClient.get(client);
    if (connection === undefined) client.terminate();
    else connection.close(CloseCode.goingAway, 'going away');
    await closed;
  }

  private findChannels(): ChannelService {
    const name = this.options.channels;
    try {
      return this.app.get<ChannelService>(getChannelsToken(name), { strict: false });
    } catch {
      const named = name === undefined ? '' : `, name: '${name}'`;
      throw new InvalidArgumentError(
        'channels',
        `there is no such ChannelModule. Import ChannelModule.forRoot({ store: …${named} }) in the application's root module.`,
      );
    }
  }
}

function pathOf(path: string | null | undefined): string {
  if (path === undefined || path === null || path === '') return '/';
  return path.startsWith('/') ? path : `/${path}`;
}
