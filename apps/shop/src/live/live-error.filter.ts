import { InvalidArgumentError } from '@nestbox/core';
import { ChannelNotFoundError, PayloadTooLargeError } from '@nestbox/channels';
import { type ArgumentsHost, Catch, Logger, type WsExceptionFilter } from '@nestjs/common';

/** What a client did wrong. */
export class LiveError extends Error {
  override readonly name = 'LiveError';
}

/** What the filter needs of a socket. */
interface Client {
  readonly readyState: number;
  readonly OPEN: number;
  send(text: string): void;
}

/** Tells a client what went wrong with its message, in an `error` event; it stays connected. */
@Catch()
export class LiveErrorFilter implements WsExceptionFilter {
  private readonly logger = new Logger('Live');

  catch(error: unknown, host: ArgumentsHost): void {
    const client = host.switchToWs().getClient<Client>();
    const isOpen = client.readyState === client.OPEN;
    // Who has hung up has no channel any more, which is nobody's fault.
    if (!isOpen && error instanceof ChannelNotFoundError) return;
    const isTheirs =
      error instanceof LiveError ||
      error instanceof InvalidArgumentError ||
      error instanceof PayloadTooLargeError;
    if (!isTheirs) this.logger.error('A message could not be handled', stackOf(error));
    const message = isTheirs ? error.message : 'The shop cannot answer right now. Try again in a moment.';
    if (isOpen) client.send(JSON.stringify({ event: 'error', data: { message } }));
  }
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
