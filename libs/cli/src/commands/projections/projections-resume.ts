import { command } from '../../command/define.js';
import { openProcessor } from './open-processor.js';
import { PROCESSOR_OPTIONS, type ProcessorOptions } from './projections-options.js';

export const projectionsResume = command<ProcessorOptions>({
  usage: 'resume <processor>',
  summary: 'let a paused or failed processor go on',
  options: PROCESSOR_OPTIONS,
  examples: ['nestbox projections resume mails'],
  async run(context, [processor = ''], options) {
    const store = await openProcessor(context, processor, options);
    await store.processors.resume(processor, options);
    const info = await store.processors.get(processor, options);
    if (context.isJson) context.printJson({ processorId: processor, status: info?.status ?? null });
    else context.print(`${JSON.stringify(processor)} goes on.`);
  },
});
