import { AsyncLocalStorage } from 'node:async_hooks';

/** The message that is being handled, whose effects it causes. */
export interface MessageContext {
  readonly correlationId: string;
  readonly causationId: string;
}

/** Set while a reactor handles a message. */
export const messageContext = new AsyncLocalStorage<MessageContext>();
