import type { JsonObject } from '@nestbox/core';
import type { OpenChannel } from '../channel.service.types.js';
import type { ChannelStore } from '../channel.store.js';
import type { Takeovers } from './takeovers.js';

/** Whose channel it becomes. */
export interface Entrance {
  readonly store: ChannelStore;
  readonly nodeId: string;
}

/**
 * Writes a channel down, with the session that it is opened with, and tells whoever has held it.
 *
 * @returns the session, or the one that stays where none is given
 * @throws what the store throws; a part of it may be written
 */
export async function enter<Opening extends JsonObject, Session extends JsonObject>(
  { store, nodeId }: Entrance,
  takeovers: Takeovers,
  id: string,
  { channelId, channelName, openingData = {} as Opening, session }: OpenChannel<Opening, Session>,
): Promise<Session | null> {
  const owner = await store.addChannel({ channelId: id, channelName, openingData, nodeId });
  if (owner !== undefined && owner !== nodeId) await takeovers.tell(owner, id);
  if (session !== undefined) await store.setUserSession(id, session);
  // An id that was just made has none.
  if (session !== undefined || channelId === undefined) return session ?? null;
  return ((await store.getChannels([id])).get(id)?.session ?? null) as Session | null;
}
