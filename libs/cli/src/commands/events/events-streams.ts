import { command } from '../../command/define.js';
import { count } from '../../command/option-values.js';
import type { Column } from '../../output/table.js';
import { EVENTS_SCHEMA, PARTITION, type EventsOptions } from './events-options.js';
import { openEvents, partitionOf } from './open-events.js';

interface StreamsOptions extends EventsOptions {
  readonly category?: string | undefined;
  readonly prefix?: string | undefined;
  readonly limit?: number | undefined;
  readonly cursor?: string | undefined;
}

const COLUMNS: readonly Column[] = [
  { header: 'STREAM', isFlexible: true },
  { header: 'CATEGORY', isFlexible: true },
  { header: 'VERSION', align: 'right' },
  { header: 'STATE' },
];

export const eventsStreams = command<StreamsOptions>({
  usage: 'streams',
  summary: 'list streams by name, deleted ones included',
  options: [
    { flags: '--category <name>', description: 'what comes before the first - of their names' },
    { flags: '--prefix <text>', description: 'only names that begin with it' },
    { flags: '--limit <n>', description: 'default: 100', read: count('--limit', 10_000) },
    { flags: '--cursor <text>', description: 'where the page before ended' },
    PARTITION,
    EVENTS_SCHEMA,
  ],
  examples: ['nestbox events streams', 'nestbox events streams --category cart --json'],
  async run(context, _args, options) {
    const { category, prefix, limit, cursor } = options;
    const store = await openEvents(context, options);
    const page = await store.listStreams({
      category,
      prefix,
      limit,
      cursor,
      partition: partitionOf(context, options),
    });
    if (context.isJson) {
      context.printJson({ streams: page.streams, cursor: page.cursor ?? null });
      return;
    }
    const rows = page.streams.map(({ streamName, category: of, version, state }) => [
      streamName,
      of,
      String(version),
      state,
    ]);
    context.printTable(COLUMNS, rows, 'There are no such streams.');
    context.noteMore(page.cursor);
  },
});
