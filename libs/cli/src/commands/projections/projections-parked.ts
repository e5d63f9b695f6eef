import type { EventStore, ParkedEvent } from '@nestbox/event-store';
import { command } from '../../command/define.js';
import { count, position } from '../../command/option-values.js';
import { formatTime, formatValue } from '../../output/format.js';
import type { Column } from '../../output/table.js';
import { lineOf } from '../events/event-rows.js';
import { openEvents } from '../events/open-events.js';
import { openProcessor } from './open-processor.js';
import { PROCESSOR_OPTIONS, type ProcessorOptions } from './projections-options.js';

interface ListOptions extends ProcessorOptions {
  readonly after?: bigint | undefined;
  readonly limit?: number | undefined;
}

const COLUMNS: readonly Column[] = [
  { header: 'PROCESSOR', isFlexible: true },
  { header: 'POSITION', align: 'right' },
  { header: 'STREAM', isFlexible: true },
  { header: 'TYPE', isFlexible: true },
  { header: 'TRIES', align: 'right' },
  { header: 'REPLAY' },
  { header: 'PARKED' },
  { header: 'ERROR', isFlexible: true },
  { header: 'DATA', isFlexible: true },
];

export const projectionsParked = command<ListOptions>({
  usage: 'parked [processor]',
  summary: 'list events whose handler kept failing, of one processor or of all',
  options: [
    { flags: '--after <position>', description: 'only what is behind it', read: position('--after') },
    { flags: '--limit <n>', description: 'of each processor; default: 100', read: count('--limit', 10_000) },
    ...PROCESSOR_OPTIONS,
  ],
  examples: ['nestbox projections parked', 'nestbox projections parked mails --json'],
  async run(context, [processor], options) {
    const store =
      processor === undefined
        ? await openEvents(context, options)
        : await openProcessor(context, processor, options);
    const parked = await find(store, processor, options);
    if (context.isJson) {
      context.printJson({ parked: parked.map(({ event, ...rest }) => ({ ...rest, event: lineOf(event) })) });
      return;
    }
    const rows = parked.map(({ processorId, event, attempts, requests, parkedAt, error }) => [
      processorId,
      String(event.metadata.globalPosition),
      event.metadata.streamName,
      event.type,
      String(attempts),
      requests > 0 ? 'asked' : '',
      formatTime(parkedAt),
      error,
      formatValue(event.data),
    ]);
    context.printTable(COLUMNS, rows, 'No events are parked.');
  },
});

async function find(
  store: EventStore,
  processor: string | undefined,
  { after, limit, partition }: ListOptions,
): Promise<ParkedEvent[]> {
  if (processor !== undefined) return store.processors.parked(processor, { after, limit, partition });
  const all = (await store.processors.list()).filter(
    (each) => each.parked > 0 && (partition === undefined || each.partition === partition),
  );
  const found: ParkedEvent[] = [];
  for (const each of all) {
    found.push(
      ...(await store.processors.parked(each.processorId, { after, limit, partition: each.partition })),
    );
  }
  return found;
}
