import type { OptionSpec } from '../../command/define.js';
import { positions } from '../../command/option-values.js';
import { EVENTS_SCHEMA, type EventsOptions } from '../events/events-options.js';

export type ProcessorOptions = EventsOptions;

export interface ParkedOptions extends ProcessorOptions {
  readonly position?: readonly bigint[] | undefined;
}

export const PROCESSOR_OPTIONS: readonly OptionSpec[] = [
  {
    flags: '--partition <name>',
    description: 'the one that its consumer reads, * for all; default: the one there is, else emt:default',
  },
  EVENTS_SCHEMA,
];

export const POSITIONS: OptionSpec = {
  flags: '--position <n>',
  description: 'only the event at this global position; may be repeated; default: all',
  read: positions('--position'),
};
