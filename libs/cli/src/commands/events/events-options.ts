import type { OptionSpec } from '../../command/define.js';

export interface EventsOptions {
  readonly schema?: string | undefined;
  readonly partition?: string | undefined;
}

export const EVENTS_SCHEMA: OptionSpec = {
  flags: '--schema <name>',
  description: 'of the event store; default: event_store',
};

export const PARTITION: OptionSpec = {
  flags: '--partition <name>',
  description: 'the tenant; default: emt:default',
};
