import { PgChannelStore, RedisChannelStore, type ChannelStore } from '@nestbox/channels';
import type { CommandContext } from '../../command/context.js';
import { command } from '../../command/define.js';
import { count } from '../../command/option-values.js';
import { withSchema } from '../../connections/required-schema.js';
import { formatTime } from '../../output/format.js';
import type { Column } from '../../output/table.js';
import { DEFAULT_PREFIX, DEFAULT_SCHEMA, HUB_OPTIONS, type HubOptions } from './hub-options.js';

const COLUMNS: readonly Column[] = [
  { header: 'CHANNEL', isFlexible: true },
  { header: 'NAME', isFlexible: true },
  { header: 'INSTANCE', isFlexible: true },
  { header: 'USER', isFlexible: true },
  { header: 'OPENED' },
  { header: 'LAST SEEN' },
];

export const channelsList = command<HubOptions & { name?: string }>({
  usage: 'list',
  summary: 'list channels in the order of their ids',
  details:
    'The user is what the session has as userId. With --json, each channel has its whole session (null where none is set).',
  options: [
    { flags: '--name <name>', description: 'only channels of this name' },
    { flags: '--limit <n>', description: 'default: 100', read: count('--limit', 1_000) },
    { flags: '--cursor <text>', description: 'where the page before ended' },
    ...HUB_OPTIONS,
  ],
  examples: ['nestbox channels list', 'nestbox channels list --store redis --name chat --json'],
  async run(context, _args, options) {
    const store = await open(context, options);
    const { name, limit, cursor } = options;
    const page = await store.list({ name, limit, cursor });
    const known = await store.getChannels(page.channels.map(({ channelId }) => channelId));
    const channels = page.channels.map((channel) => ({
      ...channel,
      session: known.get(channel.channelId)?.session ?? null,
    }));
    if (context.isJson) {
      context.printJson({ channels, cursor: page.cursor ?? null });
      return;
    }
    const rows = channels.map((each) => [
      each.channelId,
      each.channelName,
      each.nodeId ?? '',
      userOf(each.session),
      formatTime(each.createdAt),
      formatTime(each.lastInteraction),
    ]);
    context.printTable(COLUMNS, rows, 'There are no such channels.');
    context.noteMore(page.cursor);
  },
});

async function open(context: CommandContext, options: HubOptions): Promise<ChannelStore> {
  const { channels = {} } = context.config;
  const { connections } = context;
  if (context.storeOf(options.store, channels) === 'redis') {
    const prefix = options.keyPrefix ?? channels.keyPrefix ?? DEFAULT_PREFIX;
    const store = new RedisChannelStore(await connections.redis(), prefix);
    connections.onClose(() => store.close());
    return store;
  }
  const schema = options.schema ?? channels.schema ?? DEFAULT_SCHEMA;
  const store = new PgChannelStore(await connections.postgres(), schema, { migrate: false });
  connections.onClose(() => store.close());
  await withSchema(() => store.init(), { schema: schema === DEFAULT_SCHEMA ? undefined : schema });
  return store;
}

function userOf(session: object | null): string {
  const user: unknown = session === null ? undefined : Reflect.get(session, 'userId');
  return typeof user === 'string' || typeof user === 'number' ? String(user) : '';
}
