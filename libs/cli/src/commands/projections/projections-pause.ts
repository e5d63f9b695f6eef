import { command } from '../../command/define.js';
import { openProcessor } from './open-processor.js';
import { PROCESSOR_OPTIONS, type ProcessorOptions } from './projections-options.js';

export const projectionsPause = command<ProcessorOptions>({
  usage: 'pause <processor>',
  summary: 'let a processor rest until it is resumed, also when the application starts anew',
  options: PROCESSOR_OPTIONS,
  examples: ['nestbox projections pause mails'],
  async run(context, [processor = ''], options) {
    const store = await openProcessor(context, processor, options);
    await store.processors.pause(processor, options);
    const info = await store.processors.get(processor, options);
    if (context.isJson) context.printJson({ processorId: processor, status: info?.status ?? null });
    else context.print(`${JSON.stringify(processor)} rests.`);
  },
});
