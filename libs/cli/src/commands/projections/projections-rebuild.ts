import type { RebuildProgress } from '@nestbox/event-store';
import type { CommandContext } from '../../command/context.js';
import { YES, command } from '../../command/define.js';
import { count } from '../../command/option-values.js';
import { CommandFailedError } from '../../command.errors.js';
import { counted } from '../../output/format.js';
import { Progress } from '../../output/progress.js';
import { UsageError } from '../../usage-error.js';
import { EVENTS_SCHEMA } from '../events/events-options.js';
import { openEvents } from '../events/open-events.js';
import { loadApplication, type Rebuilder } from './application.js';

interface RebuildCommandOptions {
  readonly schema?: string | undefined;
  readonly app?: string | undefined;
  readonly processor?: string | undefined;
  readonly batch?: number | undefined;
  readonly yes?: boolean | undefined;
}

export const projectionsRebuild = command<RebuildCommandOptions>({
  usage: 'rebuild <projection>',
  summary: "build a projection anew from the log, with the application's code",
  details:
    'What a projection makes of events is code, so this loads a module of the application: one that exports "projections", as they are given to the event store (with "codec" and "upcast", where it has them), or "eventStore", a function that gives an EventStore (with "close"), such as that of a Nest application context. The new version is built beside the old one in this process while the application goes on, and is put in its place when it has caught up. Ctrl-C leaves the old one as it was.',
  options: [
    { flags: '--app <module>', description: 'a JavaScript module; default: that of the configuration file' },
    { flags: '--processor <id>', description: "of an async projection; default: the projection's name" },
    { flags: '--batch <n>', description: 'events at once; default: 1,000', read: count('--batch', 100_000) },
    EVENTS_SCHEMA,
    YES,
  ],
  examples: [
    'nestbox projections rebuild cart-details --app dist/projections.js',
    'nestbox projections rebuild cart-details --app dist/event-store.js --yes --json',
  ],
  async run(context, [projection = ''], options) {
    const app = options.app ?? context.config.events?.app;
    if (app === undefined) {
      throw new UsageError(
        'a rebuild runs code of the application; pass --app <module>, or call eventStore.rebuild() there',
      );
    }
    const store = await storeOf(context, app, options);
    await context.confirm(`replaces what projection ${JSON.stringify(projection)} has made`, options);
    const signal = context.terminal.interruption?.();
    using progress = new Progress(context.terminal, 'Rebuilding', 'positions');
    let events: number;
    try {
      ({ events } = await store.rebuild(projection, {
        processorId: options.processor,
        batchSize: options.batch,
        signal,
        onProgress: (at) => show(progress, at),
      }));
    } catch (error) {
      if (signal?.aborted !== true) throw error;
      throw new CommandFailedError('Interrupted; the projection is as it was.');
    } finally {
      progress[Symbol.dispose]();
    }
    if (context.isJson) context.printJson({ projection, events });
    else context.print(`Rebuilt ${JSON.stringify(projection)} from ${counted(events, 'event', 'events')}.`);
  },
});

async function storeOf(
  context: CommandContext,
  app: string,
  options: RebuildCommandOptions,
): Promise<Rebuilder> {
  const application = await loadApplication(app, context.cwd);
  if (application.kind === 'projections') return openEvents(context, options, application.settings);
  context.connections.onClose(() => application.close());
  return application.store;
}

function show(progress: Progress, { phase, position, head }: RebuildProgress): void {
  if (phase === 'switching') progress.say('switching to the new version');
  else progress.update(position, head);
}
