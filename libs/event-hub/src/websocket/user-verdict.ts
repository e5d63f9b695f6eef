import type { IncomingMessage } from 'node:http';
import type { ServerOptions, VerifyClientCallbackSync } from 'ws';
import { Refusal } from './handshake.js';

interface ClientInfo {
  origin: string;
  secure: boolean;
  req: IncomingMessage;
}

/**
 * What the `verifyClient` in the options of a gateway says, if there is one. As in ws, one with two parameters answers
 * later.
 *
 * @returns undefined when it accepts the client
 */
export async function userVerdict(
  verifyClient: ServerOptions['verifyClient'],
  info: ClientInfo,
): Promise<Refusal | undefined> {
  if (verifyClient === undefined) return undefined;
  if (verifyClient.length < 2) {
    return (verifyClient as VerifyClientCallbackSync)(info) ? undefined : new Refusal(401);
  }
  return new Promise((resolve) => {
    verifyClient(info, (accepted, status = 401, message) =>
      resolve(accepted ? undefined : new Refusal(status, message)),
    );
  });
}
