import type { EventStore, ReadEvent } from '@nestbox/event-store';
import type { CommandContext } from '../../command/context.js';
import { command } from '../../command/define.js';
import { count, position, texts } from '../../command/option-values.js';
import { NothingFoundError } from '../../command.errors.js';
import { UsageError } from '../../usage-error.js';
import { LOG_COLUMNS, STREAM_COLUMNS, lineOf, logRow, streamRow } from './event-rows.js';
import { EVENTS_SCHEMA, PARTITION, type EventsOptions } from './events-options.js';
import { openEvents, partitionOf } from './open-events.js';

interface ReadOptions extends EventsOptions {
  readonly from?: bigint | undefined;
  readonly to?: bigint | undefined;
  readonly backwards?: boolean | undefined;
  readonly after?: bigint | undefined;
  readonly category?: string | undefined;
  readonly type?: readonly string[] | undefined;
  readonly limit?: number | undefined;
}

const OF_A_STREAM = ['from', 'to', 'backwards'] as const;
const OF_THE_LOG = ['after', 'category', 'type'] as const;

export const eventsRead = command<ReadOptions>({
  usage: 'read [stream]',
  summary: 'print the events of a stream or, without one, of the log',
  details: 'With --json, one line of JSON for each event. The exit code is 4 when there is no such stream.',
  options: [
    { flags: '--from <version>', description: 'of a stream: the first event', read: position('--from') },
    { flags: '--to <version>', description: 'of a stream: the last event', read: position('--to') },
    { flags: '--backwards', description: 'of a stream: from the newest on; --from is then the highest' },
    {
      flags: '--after <position>',
      description: 'of the log: only what is behind it',
      read: position('--after'),
    },
    { flags: '--category <name>', description: 'of the log: only streams of this category' },
    {
      flags: '--type <type>',
      description: 'of the log: only events of this type; may be repeated',
      read: texts(),
    },
    { flags: '--limit <n>', description: 'events at the most; default: 1,000', read: count('--limit') },
    { ...PARTITION, description: `${PARTITION.description}; of the log also * for all` },
    EVENTS_SCHEMA,
  ],
  examples: [
    'nestbox events read cart-42',
    'nestbox events read cart-42 --backwards --limit 1 --json',
    'nestbox events read --after 1000 --type OrderPlaced',
  ],
  async run(context, [stream], options) {
    refuse(options, stream);
    const store = await openEvents(context, options);
    if (stream === undefined) await readLog(context, store, options);
    else await readStream(context, store, stream, options);
  },
});

async function readStream(
  context: CommandContext,
  store: EventStore,
  stream: string,
  options: ReadOptions,
): Promise<void> {
  const partition = partitionOf(context, options);
  const { from, to, backwards, limit = 1_000 } = options;
  const { streamExists, currentStreamVersion } = await store.readStream(stream, { partition, maxCount: 1n });
  if (!streamExists) throw new NothingFoundError(`There is no stream ${JSON.stringify(stream)}.`);
  const events = store.streamEvents(stream, { partition, from, to, backwards, maxCount: BigInt(limit) });
  const printed = await print(context, events, STREAM_COLUMNS, streamRow);
  if (printed === 0) context.note(`None of its ${currentStreamVersion} events are in this range.`);
}

async function readLog(context: CommandContext, store: EventStore, options: ReadOptions): Promise<void> {
  const { after, category, type, limit = 1_000 } = options;
  const events = store.readAll({
    after,
    category,
    types: type,
    limit,
    partition: partitionOf(context, options),
  });
  const printed = await print(context, events, LOG_COLUMNS, logRow);
  if (printed === 0) context.note('There are no such events.');
}

/** Lines of JSON as they come; a table when all are there, since its columns depend on all of them. */
async function print(
  context: CommandContext,
  events: AsyncIterable<ReadEvent>,
  columns: typeof LOG_COLUMNS,
  rowOf: (event: ReadEvent) => string[],
): Promise<number> {
  const rows: string[][] = [];
  let printed = 0;
  for await (const event of events) {
    printed++;
    if (context.isJson) await context.printLine(lineOf(event));
    else rows.push(rowOf(event));
  }
  if (rows.length > 0) context.printTable(columns, rows, '');
  return printed;
}

function refuse(options: ReadOptions, stream: string | undefined): void {
  const [names, place] =
    stream === undefined
      ? [OF_A_STREAM, 'of a stream; name one']
      : [OF_THE_LOG, 'of the log; leave the stream out'];
  for (const name of names) {
    if (options[name] !== undefined) throw new UsageError(`--${name} is for the events ${place}`);
  }
}
