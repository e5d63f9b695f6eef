import { command } from '../../command/define.js';
import { counted } from '../../output/format.js';
import { openProcessor } from './open-processor.js';
import { POSITIONS, PROCESSOR_OPTIONS, type ParkedOptions } from './projections-options.js';

export const projectionsReplay = command<ParkedOptions>({
  usage: 'replay <processor>',
  summary: 'ask for parked events to be handled again',
  details:
    'The application does it, as soon as the processor runs. What fails again stays parked; projections parked shows it.',
  options: [POSITIONS, ...PROCESSOR_OPTIONS],
  examples: ['nestbox projections replay mails', 'nestbox projections replay mails --position 1207'],
  async run(context, [processor = ''], options) {
    const store = await openProcessor(context, processor, options);
    const requested = await store.processors.replay(processor, options.position, options);
    if (context.isJson) context.printJson({ requested });
    else context.print(`Asked for ${counted(requested, 'event', 'events')} to be handled again.`);
  },
});
