import { openSocket, type Place } from './socket.js';

/** SSLRequest: every server of PostgreSQL, and PgBouncer, answers it at once, before it asks who we are. */
const QUESTION = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]);

/** What says that nobody is there, rather than that somebody does not want us. */
const SILENT = new Set(['CONNECT_TIMEOUT', 'EHOSTDOWN', 'EHOSTUNREACH', 'ENETUNREACH', 'ETIMEDOUT']);

/**
 * Whether a server is there: it answers within the time, be it with a refusal. No connection of the database is used
 * up by that, and a server that has many calls under way answers all the same.
 */
export async function isThere(place: Place, timeoutMs: number): Promise<boolean> {
  try {
    const socket = await openSocket(place, timeoutMs);
    try {
      return await new Promise<boolean>((resolve) => {
        // When this process was held up, the answer may be waiting to be read: so only after the next turn of I/O.
        const giveUp = (): void => void setImmediate(() => setImmediate(() => resolve(false)));
        const timer = setTimeout(giveUp, timeoutMs).unref();
        for (const event of ['data', 'error', 'close']) {
          socket.once(event, () => {
            clearTimeout(timer);
            resolve(true);
          });
        }
        socket.write(QUESTION);
      });
    } finally {
      socket.on('error', () => undefined).destroy();
    }
  } catch (error) {
    return !SILENT.has(String((error as { code?: unknown } | null)?.code));
  }
}
