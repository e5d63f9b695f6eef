import { setTimeout as sleep } from 'node:timers/promises';
import { InvalidArgumentError, backoffMs, parseDuration } from '@nestbox/core';
import type { Event, ExpectedStreamVersion } from '../event.types.js';
import { ExpectedVersionConflictError } from '../event-store.errors.js';
import type {
  AggregateStreamOptions,
  AggregateStreamResult,
  AppendToStreamOptions,
  AppendToStreamResult,
  ReadStreamOptions,
  RetryOptions,
  SnapshotOptions,
} from '../event-store.types.js';
import { checkExpected } from '../support/arguments.js';

/** What a command handler needs of an `EventStore`. */
export interface CommandStore {
  aggregateStream<State, E extends Event>(
    streamName: string,
    options: AggregateStreamOptions<State, E>,
  ): Promise<AggregateStreamResult<State>>;
  appendToStream<E extends Event>(
    streamName: string,
    events: readonly E[],
    options?: AppendToStreamOptions,
  ): Promise<AppendToStreamResult>;
  readonly backend: { readonly inTransaction: boolean };
}

/** How the state that commands are decided on is made, and where it is kept. */
export interface HandleCommandSettings<State, E extends Event> {
  evolve: (state: State, event: E) => State;
  initialState: () => State;
  /** The stream of an id. Default: the id itself. */
  mapToStreamName?: (id: string) => string;
  /**
   * How often a conflict with another writer is tried again, 0 for never; or tries in all and pauses, of which what is
   * left out is as by default. Default: 3 times, after pauses that begin at 10 ms and grow up to 1 s.
   */
  retry?: number | RetryOptions;
  /** Keeps the state, so that a long stream is not read from its beginning. Default: none. */
  snapshot?: boolean | SnapshotOptions;
  /** Turns events of the stream into how they look today. */
  upcast?: ReadStreamOptions['upcast'];
}

/** What is to happen, given what has happened; `[]` for nothing. */
export type CommandHandler<State, E extends Event> = (
  state: State,
) => E | readonly E[] | Promise<E | readonly E[]>;

/** Of one command, in place of the settings of its handler. */
export interface HandleCommandOptions extends AppendToStreamOptions {
  /** In place of that of the settings. */
  retry?: number | RetryOptions;
}

/** What a command has done to its stream. */
export interface HandleCommandResult<State, E extends Event> {
  /** The stream's version now. */
  nextExpectedStreamVersion: bigint;
  createdNewStream: boolean;
  /** Absent when nothing was appended. */
  lastEventGlobalPosition?: bigint;
  newState: State;
  newEvents: E[];
}

/**
 * Makes a function that reads a stream, lets a handler decide, and appends what it returns, provided that the stream
 * is still as it was read. When another writer came first, all of that is done again. Several handlers decide one
 * after the other, each on the state that the one before left, and their events are appended together.
 *
 * No connection is held while the handler runs, which may hence run more than once, and take its time.
 *
 * A given `expectedStreamVersion` is checked before the handler runs, too, and when the stream is not so, that is not
 * tried again: it is the caller who decided on that version. With `NO_CONCURRENCY_CHECK`, events are appended whatever
 * came in between. Nor are conflicts tried again in an ambient transaction: what else it has read may be as stale, and
 * its locks would be held for the pauses. Run the whole transaction again instead.
 *
 * @throws ExpectedVersionConflictError when the last attempt came too late as well
 */
export function handleCommand<State, E extends Event>(
  store: CommandStore,
  settings: HandleCommandSettings<State, E>,
): (
  id: string,
  handle: CommandHandler<State, E> | readonly CommandHandler<State, E>[],
  options?: HandleCommandOptions,
) => Promise<HandleCommandResult<State, E>> {
  const { mapToStreamName = (id: string) => id } = settings;
  const defaultRetry = checkedRetry(settings.retry, 'retry');

  return async (id, handle, { retry, ...options } = {}) => {
    const handlers = typeof handle === 'function' ? [handle] : handle;
    const streamName = mapToStreamName(id);
    const { attempts, baseMs, maxMs } =
      retry === undefined ? defaultRetry : checkedRetry(retry, 'options.retry');
    const given = checkExpected(options.expectedStreamVersion);
    const mayRetry = !store.backend.inTransaction;

    for (let attempt = 1; ; attempt++) {
      try {
        return await handleOnce(store, settings, streamName, handlers, options);
      } catch (error) {
        const lostRace =
          error instanceof ExpectedVersionConflictError &&
          error.streamName === streamName &&
          error.expected !== given;
        if (!lostRace || !mayRetry || attempt >= attempts) throw error;
        await sleep(backoffMs(attempt, { baseMs, maxMs }));
      }
    }
  };
}

async function handleOnce<State, E extends Event>(
  store: CommandStore,
  { evolve, initialState, snapshot, upcast }: HandleCommandSettings<State, E>,
  streamName: string,
  handlers: readonly CommandHandler<State, E>[],
  options: AppendToStreamOptions,
): Promise<HandleCommandResult<State, E>> {
  const { expectedStreamVersion, partition } = options;
  const read = await store.aggregateStream<State, E>(streamName, {
    evolve,
    initialState,
    snapshot,
    read: { expectedStreamVersion, partition, upcast },
  });

  let state = read.state;
  const newEvents: E[] = [];
  for (const handler of handlers) {
    const decided = await handler(state);
    for (const event of isArray(decided) ? decided : [decided]) {
      assertEvent(event);
      state = evolve(state, event);
      newEvents.push(event);
    }
  }
  if (newEvents.length === 0) {
    return {
      nextExpectedStreamVersion: read.currentStreamVersion,
      createdNewStream: false,
      newState: state,
      newEvents,
    };
  }

  const appended = await store.appendToStream(streamName, newEvents, {
    ...options,
    expectedStreamVersion: expectationAfter(read, expectedStreamVersion),
  });
  return { ...appended, newState: state, newEvents };
}

/** The version that was decided on, unless the caller does not care. */
function expectationAfter(
  read: AggregateStreamResult<unknown>,
  given: ExpectedStreamVersion | undefined,
): ExpectedStreamVersion {
  if (given === 'NO_CONCURRENCY_CHECK') return given;
  return read.streamExists ? read.currentStreamVersion : 'STREAM_DOES_NOT_EXIST';
}

/** Or else it would be `evolve` that fails, and says less. */
function assertEvent(event: unknown): void {
  if (typeof event === 'object' && event !== null) return;
  throw new InvalidArgumentError(
    'handle',
    `returned ${event === null ? 'null' : typeof event}; return an event, an array of events, or [] for nothing.`,
  );
}

/** `Array.isArray` does not narrow readonly arrays. */
function isArray<T>(value: T | readonly T[]): value is readonly T[] {
  return Array.isArray(value);
}

function checkedRetry(
  retry: number | RetryOptions | undefined,
  path: string,
): { attempts: number; baseMs: number; maxMs: number } {
  const {
    attempts = 4,
    base = 10,
    max = '1s',
  } = typeof retry === 'number' ? { attempts: retry + 1 } : (retry ?? {});
  if (!Number.isInteger(attempts) || attempts < 1) {
    throw typeof retry === 'number'
      ? new InvalidArgumentError(path, `is ${retry}; give how often to try again, 0 for never.`)
      : new InvalidArgumentError(
          `${path}.attempts`,
          `is ${attempts}; give how often to try in all, 1 at least.`,
        );
  }
  return { attempts, baseMs: parseDuration(base, `${path}.base`), maxMs: parseDuration(max, `${path}.max`) };
}
