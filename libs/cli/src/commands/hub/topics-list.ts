import { PgEventHubStore, RedisEventHubStore, type EventHubStore } from '@nestbox/event-hub';
import type { CommandContext } from '../../command/context.js';
import { command } from '../../command/define.js';
import { count } from '../../command/option-values.js';
import { withSchema } from '../../connections/required-schema.js';
import type { Column } from '../../output/table.js';
import { DEFAULT_PREFIX, DEFAULT_SCHEMA, HUB_OPTIONS, type HubOptions } from './hub-options.js';

const COLUMNS: readonly Column[] = [
  { header: 'TOPIC', isFlexible: true },
  { header: 'CHANNELS', align: 'right' },
];

export const topicsList = command<HubOptions & { prefix?: string }>({
  usage: 'list',
  summary: 'list topics that somebody is subscribed to, with how many channels are',
  options: [
    { flags: '--prefix <text>', description: 'only topics that begin with it' },
    { flags: '--limit <n>', description: 'default: 100', read: count('--limit', 1_000) },
    { flags: '--cursor <text>', description: 'where the page before ended' },
    ...HUB_OPTIONS,
  ],
  examples: ['nestbox topics list', 'nestbox topics list --store redis --prefix orders. --json'],
  async run(context, _args, options) {
    const store = await open(context, options);
    const { prefix, limit, cursor } = options;
    const page = await store.listTopics({ prefix, limit, cursor });
    const topics = [];
    for (const topic of page.topics) topics.push({ topic, channels: await store.countForTopic(topic) });
    if (context.isJson) {
      context.printJson({ topics, cursor: page.cursor ?? null });
      return;
    }
    const rows = topics.map(({ topic, channels }) => [topic, String(channels)]);
    context.printTable(COLUMNS, rows, 'There are no such topics.');
    context.noteMore(page.cursor);
  },
});

async function open(context: CommandContext, options: HubOptions): Promise<EventHubStore> {
  const { channels = {} } = context.config;
  const { connections } = context;
  if (context.storeOf(options.store, channels) === 'redis') {
    const prefix = options.keyPrefix ?? channels.keyPrefix ?? DEFAULT_PREFIX;
    const store = new RedisEventHubStore(await connections.redis(), prefix);
    connections.onClose(() => store.close());
    return store;
  }
  const schema = options.schema ?? channels.schema ?? DEFAULT_SCHEMA;
  const store = new PgEventHubStore(await connections.postgres(), schema, { migrate: false });
  connections.onClose(() => store.close());
  await withSchema(() => store.init(), { schema: schema === DEFAULT_SCHEMA ? undefined : schema });
  return store;
}
