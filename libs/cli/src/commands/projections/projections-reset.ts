import type { StartFrom } from '@nestbox/event-store';
import { YES, command } from '../../command/define.js';
import { position } from '../../command/option-values.js';
import { UsageError } from '../../usage-error.js';
import { openProcessor } from './open-processor.js';
import { PROCESSOR_OPTIONS, type ProcessorOptions } from './projections-options.js';

interface ResetOptions extends ProcessorOptions {
  readonly to?: StartFrom | undefined;
  readonly yes?: boolean | undefined;
}

export const projectionsReset = command<ResetOptions>({
  usage: 'reset <processor>',
  summary: 'let a processor begin anew, or at another position',
  details:
    'Only its position is changed. What a projection has made stays, so that the events are applied to it once more; to make it anew, use rebuild. A reactor handles the events again, with all its effects.',
  options: [
    {
      flags: '--to <where>',
      description: 'beginning, end, or a global position, behind which it goes on; default: beginning',
      read: readStart,
    },
    ...PROCESSOR_OPTIONS,
    YES,
  ],
  examples: ['nestbox projections reset mails --to end', 'nestbox projections reset mails --to 1200 --yes'],
  async run(context, [processor = ''], options) {
    const store = await openProcessor(context, processor, options);
    const { to = 'BEGINNING', partition } = options;
    await context.confirm(`lets ${JSON.stringify(processor)} go on from ${placeOf(to)}`, options);
    await store.processors.reset(processor, { partition, position: to });
    const info = await store.processors.get(processor, { partition });
    if (context.isJson) context.printJson({ processorId: processor, position: info?.position ?? null });
    else context.print(`${JSON.stringify(processor)} goes on behind position ${info?.position ?? 0n}.`);
  },
});

function readStart(text: string): StartFrom {
  if (text === 'beginning') return 'BEGINNING';
  if (text === 'end') return 'END';
  if (!/^\d+$/.test(text)) {
    throw new UsageError(`--to must be beginning, end or a global position, not "${text}"`);
  }
  return { position: position('--to')(text) };
}

function placeOf(to: StartFrom): string {
  if (typeof to === 'object') return `position ${to.position}`;
  return to === 'BEGINNING' ? 'the beginning' : 'the end';
}
