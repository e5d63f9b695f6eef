import { InvalidArgumentError } from '@nestbox/core';
import { PayloadTooLargeError } from '@nestbox/channels';
import { type ArgumentsHost, Catch, Logger, type WsExceptionFilter } from '@nestjs/common';

/** What a client did wrong. */
export class LiveError extends Error {
  override readonly name = 'LiveError';
}

/** Tells a client what went wrong with its message, in an `error` event; it stays connected. */
@Catch()
export class LiveErrorFilter implements WsExceptionFilter {
  private readonly logger = new Logger('Live');

  catch(error: unknown, host: ArgumentsHost): void {
    const client = host.switchToWs().getClient<{ send(text: string): void }>();
    const isTheirs =
      error instanceof LiveError ||
      error instanceof InvalidArgumentError ||
      error instanceof PayloadTooLargeError;
    if (!isTheirs) this.logger.error('A message could not be handled', stackOf(error));
    const message = isTheirs ? error.message : 'The shop cannot answer right now. Try again in a moment.';
    client.send(JSON.stringify({ event: 'error', data: { message } }));
  }
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
