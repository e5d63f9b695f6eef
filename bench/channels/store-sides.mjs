import { PgChannelStore, RedisChannelStore } from '@nestbox/channels';
import { PgEventHubStore, RedisEventHubStore } from '@nestbox/event-hub';
import { PgChannelStore as PikkuPgChannels, PgEventHubStore as PikkuPgHub } from '@pikku/pg';
import { RedisChannelStore as PikkuRedisChannels, RedisEventHubStore as PikkuRedisHub } from '@pikku/redis';
import postgres from 'postgres';

/** How many channels and topics are there before the measuring begins. */
export const CHANNELS = 10_000;
export const TOPICS = 500;
const OPENING = { path: '/ws', query: { room: 'lobby', locale: 'en-GB' } };
const SESSION = { userId: 'u-1001', roles: ['customer'], name: 'Ann Example' };

const channelOf = (i) => `channel-${i % CHANNELS}`;
const topicOf = (i) => `products.${i % TOPICS}`;

/** Every side has a pool of 10, which is the default of all. */
export async function openPostgresSides(url) {
  const sql = postgres(url, { onnotice() {} });
  const ours = { channels: new PgChannelStore(url), hub: new PgEventHubStore(url) };
  const theirs = { channels: new PikkuPgChannels(sql), hub: new PikkuPgHub(sql) };
  return Promise.all([
    open('nestbox', ours, async () => {
      await ours.hub.close();
      await ours.channels.close();
    }),
    open('@pikku/pg', theirs, () => sql.end({ timeout: 5 })),
  ]);
}

export async function openRedisSides(url) {
  const ours = {
    channels: new RedisChannelStore(url, 'bench-nestbox'),
    hub: new RedisEventHubStore(url, 'bench-nestbox'),
  };
  const pikku = {
    channels: new PikkuRedisChannels(url, 'bench-pikku'),
    hub: new PikkuRedisHub(url, 'bench-pikku'),
  };
  // Since 0.12.4 the session is a state of its own there. Its look-up is left out of `look up`, which favours the peer.
  const theirs = {
    hub: pikku.hub,
    channels: {
      init: () => pikku.channels.init(),
      addChannel: (channel) => pikku.channels.addChannel(channel),
      removeChannels: (ids) => pikku.channels.removeChannels(ids),
      setUserSession: (id, session) => pikku.channels.setState(id, session),
      getChannelAndSession: (id) => pikku.channels.getChannel(id),
    },
  };
  const closer = (stores) => async () => {
    await stores.hub.close();
    await stores.channels.close();
  };
  return Promise.all([open('nestbox', ours, closer(ours)), open('@pikku/redis', theirs, closer(pikku))]);
}

async function open(name, { channels, hub }, close) {
  await channels.init();
  await hub.init();
  for (let first = 0; first < CHANNELS; first += 500) {
    await Promise.all(
      Array.from({ length: 500 }, async (_, i) => {
        const channelId = channelOf(first + i);
        await channels.addChannel({ channelId, channelName: 'shop', openingData: OPENING });
        await hub.subscribe(topicOf(first + i), channelId);
      }),
    );
  }
  let fresh = 0;
  return {
    name,
    close,
    connect: () =>
      channels.addChannel({ channelId: `fresh-${fresh++}`, channelName: 'shop', openingData: OPENING }),
    'set session': (i) => channels.setUserSession(channelOf(i), { ...SESSION, visit: i }),
    'look up': (i) => channels.getChannelAndSession(channelOf(i)),
    async 'come and go'() {
      const channelId = `guest-${fresh++}`;
      await channels.addChannel({ channelId, channelName: 'shop', openingData: OPENING });
      await hub.subscribe(topicOf(fresh), channelId);
      await channels.removeChannels([channelId]);
    },
    async 'join and leave'(i) {
      const topic = `offers.${i % TOPICS}`;
      await hub.subscribe(topic, channelOf(i));
      await hub.unsubscribe(topic, channelOf(i));
    },
    'who is there': (i) => hub.getChannelIdsForTopic(topicOf(i)),
  };
}
