import { messageOf } from '@nestbox/core';
import type { Logger } from '@nestjs/common';
import type { ChannelStore } from '../channel.store.js';

const INTERVAL_MS = 5 * 60_000;
const BATCH = 1000;

/** Tells the store now and then that the channels are in use, which keeps them from being taken for stale. */
export function keepAlive(store: ChannelStore, idsOf: () => string[], logger: Logger): NodeJS.Timeout {
  return setInterval(() => void touchAll(store, idsOf(), logger), INTERVAL_MS).unref();
}

/** Never rejects. */
async function touchAll(store: ChannelStore, ids: readonly string[], logger: Logger): Promise<void> {
  try {
    for (let i = 0; i < ids.length; i += BATCH) await store.touch(ids.slice(i, i + BATCH));
  } catch (error) {
    logger.warn(`Channels could not be touched: ${messageOf(error)}`);
  }
}
