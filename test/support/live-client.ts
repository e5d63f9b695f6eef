import { once } from 'node:events';
import { eventually } from '@nestbox/testing';
import WebSocket from 'ws';

/** A message as the shop sends it. */
export interface LiveMessage {
  event: string;
  data: unknown;
  epoch?: string;
  offset?: number;
}

export interface Joined {
  topic: string;
  channelId: string;
  recovered: boolean;
  missed: number;
  position: { epoch: string; offset: number } | null;
}

/** A client of the shop's WebSocket that keeps all it gets. */
export class LiveClient {
  readonly messages: LiveMessage[] = [];
  readonly binaries: Buffer[] = [];
  /** The channel's id, known after the first join. */
  channelId = '';
  closedWith: { code: number; reason: string } | undefined;

  private constructor(private readonly socket: WebSocket) {
    socket.on('message', (data, isBinary) => {
      if (!Buffer.isBuffer(data)) throw new Error('ws gives buffers unless it is told otherwise.');
      if (isBinary) this.binaries.push(data);
      else this.messages.push(JSON.parse(data.toString()) as LiveMessage);
    });
    socket.on('close', (code, reason) => {
      this.closedWith = { code, reason: reason.toString() };
    });
    // A socket whose server was killed errs, and then closes.
    socket.on('error', () => undefined);
  }

  /** @param url of the shop, http:// */
  static async open(url: string): Promise<LiveClient> {
    const socket = new WebSocket(`${url.replace('http', 'ws')}/ws`);
    const client = new LiveClient(socket);
    await once(socket, 'open');
    return client;
  }

  send(event: string, data: unknown): void {
    this.socket.send(JSON.stringify({ event, data }));
  }

  /** Resolves to the answer. */
  async join(topic: string, since?: LiveMessage['data']): Promise<Joined> {
    const before = this.messages.length;
    this.send('join', { topic, since });
    const isAnswer = ({ event, data }: LiveMessage): boolean =>
      event === 'joined' && (data as Joined).topic === topic;
    await eventually(() => this.messages.slice(before).some(isAnswer), { timeoutMs: 20_000 });
    const joined = this.messages.slice(before).find(isAnswer)!.data as Joined;
    this.channelId = joined.channelId;
    return joined;
  }

  /** The data of the messages of a topic, in the order in which they came. */
  of(topic: string): unknown[] {
    return this.messages.filter(({ event }) => event === topic).map(({ data }) => data);
  }

  /** The position of the last message of a topic. */
  positionIn(topic: string): { epoch: string; offset: number } | undefined {
    const last = this.messages.findLast(({ event, offset }) => event === topic && offset !== undefined);
    return last && { epoch: last.epoch!, offset: last.offset! };
  }

  async close(): Promise<void> {
    if (this.socket.readyState === WebSocket.CLOSED) return;
    this.socket.terminate();
    await eventually(() => this.closedWith !== undefined);
  }
}
