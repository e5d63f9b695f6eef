import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import type { Frame } from '@nestbox/channels';
import { eventually } from '@nestbox/testing';
import { WebSocket, WebSocketServer, type ServerOptions } from 'ws';
import { closeCodeOf, closeReasonOf } from '../src/websocket/close-codes.js';
import { TickCork } from '../src/websocket/tick-cork.js';
import { WsConnection } from '../src/websocket/ws-connection.js';
import { wireFrameOf } from '../src/websocket/ws-frame.js';

/** A socket as a version of ws would give it that is built differently. */
function withoutInside(client: WebSocket): WebSocket {
  return new Proxy(client, {
    get(target, key) {
      if (key === '_sender' || key === '_socket') return undefined;
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}

function text(data: string): Frame {
  return { data: Buffer.from(data), binary: false };
}

describe('WsConnection', () => {
  const closing: (() => void)[] = [];
  afterEach(() => {
    for (const close of closing.splice(0)) close();
  });

  async function open(options: ServerOptions = {}, seenAs = (client: WebSocket) => client) {
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1', ...options });
    closing.push(() => server.close());
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const socket = new WebSocket(`ws://127.0.0.1:${port}`);
    const got: string[] = [];
    socket.on('message', (data: Buffer, isBinary) =>
      got.push(isBinary ? `bytes:${data.toString()}` : data.toString()),
    );
    const [client] = (await once(server, 'connection')) as [WebSocket];
    await once(socket, 'open');
    closing.push(() => socket.terminate());
    const settings = { maxBufferedBytes: 10_000_000, closeTimeoutMs: 1000, cork: new TickCork() };
    const connection = new WsConnection(seenAs(client), settings);
    connection.start();
    return { client, socket, connection, got };
  }

  it.each<[string, ServerOptions, typeof withoutInside | undefined, boolean]>([
    ['as frames that are made once', {}, undefined, true],
    ['by send, where ws is built differently', {}, withoutInside, false],
    ['by send, with compression', { perMessageDeflate: { threshold: 0 } }, undefined, false],
  ])('sends %s, in the order of the calls', async (_, options, seenAs, isRaw) => {
    const { client, connection, got } = await open(options, seenAs);
    const written: unknown[] = [];
    const sender = Reflect.get(client, '_sender') as { sendFrame(buffers: unknown[]): void };
    const sendFrame = sender.sendFrame.bind(sender);
    sender.sendFrame = (buffers) => {
      written.push(buffers[0]);
      sendFrame(buffers);
    };
    const shared = text('shared');
    const expected: string[] = [];
    for (const size of [1, 125, 126, 65_535, 65_536, 100_000]) {
      const data = String(size).padEnd(size, '.');
      connection.send(text(data));
      client.send(`own ${size}`);
      connection.send({ data: Buffer.from(data), binary: true });
      connection.send(shared);
      expected.push(data, `own ${size}`, `bytes:${data}`, 'shared');
    }
    await eventually(() => expect(got).toHaveLength(expected.length));
    expect(got).toEqual(expected);
    expect(written.filter((buffer) => buffer === wireFrameOf(shared)[0])).toHaveLength(isRaw ? 6 : 0);
  });

  it('does not come between the fragments of a message', async () => {
    const { client, connection, got } = await open();
    client.send('a', { fin: false });
    connection.send(text('b'));
    connection.send(text('c'));
    client.send('a', { fin: true });
    await eventually(() => expect(got).toEqual(['aa', 'b', 'c']));
  });

  it('takes nothing when it is closed, and may be closed twice', async () => {
    const { socket, connection } = await open();
    const closed = once(socket, 'close');
    connection.close(4001, 'x'.repeat(200));
    connection.close(1000, '');
    expect(connection.send(text('a'))).toBe(false);
    const [code, reason] = (await closed) as [number, Buffer];
    expect([code, reason.length]).toEqual([4001, 123]);
  });

  it('puts only codes and reasons into a close frame that may be there', () => {
    expect([1000, 1001, 1013, 3000, 4999].map(closeCodeOf)).toEqual([1000, 1001, 1013, 3000, 4999]);
    expect([0, 999, 1004, 1005, 1006, 1015, 2000, 5000, NaN, 1000.5].map(closeCodeOf)).toEqual(
      Array.from({ length: 10 }, () => 1000),
    );
    expect(closeReasonOf('a'.repeat(122) + 'é')).toBe('a'.repeat(122));
    expect(closeReasonOf('é'.repeat(61) + 'a')).toBe('é'.repeat(61) + 'a');
  });
});
