import { YES, command } from '../../command/define.js';
import { counted } from '../../output/format.js';
import { openProcessor } from './open-processor.js';
import { POSITIONS, PROCESSOR_OPTIONS, type ParkedOptions } from './projections-options.js';

export const projectionsDrop = command<ParkedOptions & { yes?: boolean }>({
  usage: 'drop <processor>',
  summary: 'forget parked events, which are then never handled',
  options: [POSITIONS, ...PROCESSOR_OPTIONS, YES],
  examples: ['nestbox projections drop mails --position 1207'],
  async run(context, [processor = ''], options) {
    const store = await openProcessor(context, processor, options);
    const which = options.position === undefined ? 'all parked events' : 'these parked events';
    await context.confirm(`forgets ${which} of ${JSON.stringify(processor)}`, options);
    const dropped = await store.processors.drop(processor, options.position, options);
    if (context.isJson) context.printJson({ dropped });
    else context.print(`Forgot ${counted(dropped, 'event', 'events')}.`);
  },
});
