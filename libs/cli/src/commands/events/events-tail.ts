import type { ReadEvent } from '@nestbox/event-store';
import { command } from '../../command/define.js';
import { count, duration, position, texts } from '../../command/option-values.js';
import { parseDuration } from '@nestbox/core';
import { formatTime, formatValue } from '../../output/format.js';
import { cut, visible } from '../../output/text-width.js';
import { UsageError } from '../../usage-error.js';
import { lineOf } from './event-rows.js';
import { EVENTS_SCHEMA, PARTITION, type EventsOptions } from './events-options.js';
import { followLog } from './follow-log.js';
import { openEvents, partitionOf } from './open-events.js';

interface TailOptions extends EventsOptions {
  readonly after?: bigint | undefined;
  readonly fromBeginning?: boolean | undefined;
  readonly stream?: string | undefined;
  readonly category?: string | undefined;
  readonly type?: readonly string[] | undefined;
  readonly limit?: number | undefined;
  readonly interval?: string | undefined;
}

export const eventsTail = command<TailOptions>({
  usage: 'tail',
  summary: 'print events as they are appended, until Ctrl-C',
  details:
    'In the order of the log, with none left out; through restarts of the server, too. With --json, one line of JSON for each event.',
  options: [
    { flags: '--from-beginning', description: 'begin with the first event instead of the next one' },
    { flags: '--after <position>', description: 'begin behind this position', read: position('--after') },
    { flags: '--stream <name>', description: 'only this stream' },
    { flags: '--category <name>', description: 'only streams of this category' },
    { flags: '--type <type>', description: 'only events of this type; may be repeated', read: texts() },
    { flags: '--limit <n>', description: 'end after so many events', read: count('--limit') },
    {
      flags: '--interval <time>',
      description: 'how often to look; default: 500ms',
      read: duration('--interval'),
    },
    { ...PARTITION, description: `${PARTITION.description}; * for all` },
    EVENTS_SCHEMA,
  ],
  examples: ['nestbox events tail', 'nestbox events tail --category order --json | jq .type'],
  async run(context, _args, options) {
    const { after, fromBeginning = false, stream, category, type, limit = Infinity } = options;
    if (after !== undefined && fromBeginning) {
      throw new UsageError('--after and --from-beginning exclude each other');
    }
    const signal = context.terminal.interruption?.() ?? new AbortController().signal;
    const store = await openEvents(context, options);
    const start = fromBeginning ? 0n : (after ?? (await store.head()));
    let left = limit;
    const events = followLog(store, {
      after: start,
      category,
      types: type,
      partition: partitionOf(context, options),
      intervalMs: parseDuration(options.interval ?? '500ms', '--interval'),
      signal,
      onLost: () => context.note('The connection is lost; trying again.'),
      onBack: () => context.note('Connected again.'),
    });
    context.note(`Behind position ${start}; Ctrl-C ends it.`);
    for await (const event of events) {
      if (signal.aborted) break;
      if (stream !== undefined && event.metadata.streamName !== stream) continue;
      if (context.isJson) await context.printLine(lineOf(event));
      else context.print(textOf(event, context.terminal.columns));
      left--;
      if (left === 0) break;
    }
  },
});

function textOf({ type, data, metadata }: ReadEvent, width: number | undefined): string {
  const { globalPosition, createdAt, streamName, streamPosition } = metadata;
  const text = visible(
    `${globalPosition}  ${formatTime(createdAt)}  ${streamName}@${streamPosition}  ${type}  ${formatValue(data)}`,
  );
  return width === undefined ? text : cut(text, width);
}
