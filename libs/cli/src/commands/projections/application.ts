import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { messageOf } from '@nestbox/core';
import type {
  Codec,
  EventStore,
  EventStoreSettings,
  ProjectionRegistration,
  Upcast,
} from '@nestbox/event-store';
import { fileExists } from '../../output/output-file.js';
import { CommandFailedError, NothingFoundError } from '../../command.errors.js';

/** The code of an application, as far as a rebuild needs it. */
export type Application =
  | { readonly kind: 'projections'; readonly settings: EventStoreSettings }
  | { readonly kind: 'store'; readonly store: Rebuilder; close(): Promise<void> };

/** What is needed of an event store that the application has made. */
export type Rebuilder = Pick<EventStore, 'rebuild'>;

/** What a module may export. */
interface AppModule {
  readonly projections?: readonly ProjectionRegistration[];
  readonly codec?: Codec;
  readonly upcast?: Upcast;
  readonly eventStore?: Rebuilder | (() => Rebuilder | Promise<Rebuilder>);
  readonly close?: () => unknown;
  /** Of a CommonJS module, or of those who prefer one export: the same in an object. */
  readonly default?: unknown;
}

/**
 * Loads the module that `--app` names.
 *
 * @throws NothingFoundError; CommandFailedError when it cannot be loaded, or exports nothing of use
 */
export async function loadApplication(file: string, cwd: string): Promise<Application> {
  const module = await load(file, cwd);
  const { projections, codec, upcast, eventStore, close } = module;
  if (eventStore !== undefined) {
    const store = typeof eventStore === 'function' ? await eventStore() : eventStore;
    if (typeof store?.rebuild !== 'function') {
      throw new CommandFailedError(`The eventStore that ${file} exports is no EventStore, and gives none.`);
    }
    return { kind: 'store', store, close: async () => void (await close?.()) };
  }
  if (Array.isArray(projections)) return { kind: 'projections', settings: { projections, codec, upcast } };
  throw new CommandFailedError(
    `${file} exports neither "projections" (an array) nor "eventStore" (an EventStore, or a function that gives one).`,
  );
}

async function load(file: string, cwd: string): Promise<AppModule> {
  const path = resolve(cwd, file);
  if (!(await fileExists(path))) throw new NothingFoundError(`There is no module ${file}.`);
  let module: AppModule;
  try {
    module = (await import(pathToFileURL(path).href)) as AppModule;
  } catch (error) {
    throw new CommandFailedError(`Cannot load ${file}: ${messageOf(error)}`, { cause: error });
  }
  const { default: given } = module;
  return typeof given === 'object' && given !== null ? { ...given, ...module } : module;
}
