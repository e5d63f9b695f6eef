import type { WebSocket } from 'ws';
import type { Corkable } from './tick-cork.js';

/** What is used of the inside of a WebSocket of the package ws, version 8. */
export interface RawSender {
  sendFrame(buffers: readonly Buffer[]): void;
  /** 0: nothing is being compressed or read from a Blob, so that nothing waits to be sent. */
  readonly _state: number;
  /** False between the fragments of a message. */
  readonly _firstFragment: boolean;
}

/** @returns undefined where the package is built differently than is known here */
export function rawSenderOf(client: WebSocket): RawSender | undefined {
  const sender: unknown = Reflect.get(client, '_sender');
  if (typeof sender !== 'object' || sender === null) return undefined;
  return isRawSender(sender) ? sender : undefined;
}

/** @returns undefined where the package is built differently than is known here */
export function socketOf(client: WebSocket): Corkable | undefined {
  const socket: unknown = Reflect.get(client, '_socket');
  if (typeof socket !== 'object' || socket === null) return undefined;
  return isCorkable(socket) ? socket : undefined;
}

function isRawSender(sender: object): sender is RawSender {
  return (
    typeof Reflect.get(sender, 'sendFrame') === 'function' &&
    typeof Reflect.get(sender, '_state') === 'number' &&
    typeof Reflect.get(sender, '_firstFragment') === 'boolean'
  );
}

function isCorkable(socket: object): socket is Corkable {
  return ['cork', 'uncork'].every((method) => typeof Reflect.get(socket, method) === 'function');
}
