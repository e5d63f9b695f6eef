import { command } from '../../command/define.js';
import { formatMs, formatTime } from '../../output/format.js';
import type { Column } from '../../output/table.js';
import { EVENTS_SCHEMA } from '../events/events-options.js';
import { openEvents } from '../events/open-events.js';

const COLUMNS: readonly Column[] = [
  { header: 'PROCESSOR', isFlexible: true },
  { header: 'PARTITION', isFlexible: true },
  { header: 'STATUS' },
  { header: 'POSITION', align: 'right' },
  { header: 'LAG', align: 'right' },
  { header: 'BEHIND', align: 'right' },
  { header: 'PARKED', align: 'right' },
  { header: 'UPDATED' },
  { header: 'ERROR', isFlexible: true },
];

export const projectionsList = command<{ schema?: string }>({
  usage: 'list',
  summary: 'list all processors that were ever started, and how far they are',
  options: [EVENTS_SCHEMA],
  examples: ['nestbox projections list', 'nestbox projections list --json'],
  async run(context, _args, options) {
    const store = await openEvents(context, options);
    const processors = await store.processors.list();
    if (context.isJson) {
      context.printJson({ processors: processors.map((each) => ({ ...each, error: each.error ?? null })) });
      return;
    }
    const rows = processors.map((each) => [
      each.processorId,
      each.partition,
      each.status,
      String(each.position),
      String(each.lag),
      each.lagMs === 0 ? '' : formatMs(each.lagMs),
      String(each.parked),
      formatTime(each.updatedAt),
      each.error ?? '',
    ]);
    context.printTable(COLUMNS, rows, 'No processor was ever started.');
  },
});
