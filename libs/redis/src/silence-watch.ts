import { runInRootScope } from '@nestbox/core';
import type { SingleClient } from './driver.js';

/** So many looks in a row must find nothing new, after one that may find what came before the silence. */
const LOOKS = 4;

/**
 * Cuts the connection when Redis has sent nothing for `timeoutMs` although commands are under way, so that they fail
 * and a new connection is made. A connection that vanished without a trace would otherwise be noticed by the kernel
 * after a quarter of an hour.
 *
 * Redis answers in order, so one watch does for all commands; a timer for each would cost a fifth of the throughput.
 * It counts looks and not time, since after a pause of this very process the answers are there, but not yet read.
 */
export function watchForSilence(client: SingleClient, timeoutMs: number): void {
  if (timeoutMs === Infinity) return;
  let timer: NodeJS.Timeout | undefined;
  let received = -1;
  let silentLooks = 0;

  const look = (): void => {
    const { stream } = client;
    if (client.commandQueue.length === 0 || stream.bytesRead !== received) {
      received = stream.bytesRead;
      silentLooks = 0;
      return;
    }
    silentLooks++;
    if (silentLooks >= LOOKS) stream.destroy(new Error(`Redis sent nothing for ${timeoutMs} ms`));
  };
  const start = (): void => {
    received = -1;
    silentLooks = 0;
    timer ??= runInRootScope(() => setInterval(look, timeoutMs / (LOOKS + 1))).unref();
  };
  const stop = (): void => {
    clearInterval(timer);
    timer = undefined;
  };
  client.on('connect', start);
  client.on('close', stop);
  client.on('end', stop);
}
