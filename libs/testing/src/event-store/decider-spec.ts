import type { Decider, Event } from '@nestbox/event-store';
import { diff } from './diff.js';
import { isEqual } from './equal.js';
import { expectError, nothingThrown, type ErrorExpectation } from './expect-error.js';
import { SpecFailedError } from './spec.errors.js';
import { isAwaited } from './unfinished.js';

/** One event, or several. */
type Events<E extends Event> = E | readonly E[];

/** A {@link Decider} that need not be awaited. */
export interface SyncDecider<State, Command, E extends Event> extends Omit<
  Decider<State, Command, E>,
  'decide'
> {
  decide: (command: Command, state: State) => Events<E>;
}

/** Its `then`s throw what does not hold; those of a decider that is async return a promise, to be awaited. */
export interface DeciderSpecification<Command, E extends Event, Result> extends GivenEvents<
  Command,
  E,
  Result
> {
  /** What has happened. Emmett writes it so. */
  (...events: readonly Events<E>[]): GivenEvents<Command, E, Result>;
  /** What has happened. */
  given(...events: readonly Events<E>[]): GivenEvents<Command, E, Result>;
}

/** What has happened before the command. */
export interface GivenEvents<Command, E extends Event, Result> {
  /** Several commands are decided one after the other. */
  when(...commands: readonly Command[]): DeciderExpectation<E, Result>;
}

/** What a command is expected to do. */
export interface DeciderExpectation<E extends Event, Result> {
  /** Exactly these events happen. Matchers such as `expect.any(String)` may stand in for values. */
  then(expected: Events<E>): Result;
  thenNothingHappened(): Result;
  /** The command is refused: `thenThrows()`, `thenThrows(CartClosedError)`, `thenThrows((error) => …)`, or both. */
  thenThrows<X extends Error = Error>(...expected: ErrorExpectation<X>): Result;
}

/**
 * Tests a decider without a store.
 *
 * ```ts
 * const spec = DeciderSpec.for({ decide, evolve, initialState });
 *
 * spec.given(itemAdded).when({ type: 'Confirm' }).then({ type: 'Confirmed', data: {} });
 * spec.given(confirmed).when({ type: 'Confirm' }).thenThrows(CartClosedError);
 * ```
 */
export const DeciderSpec: { for: typeof specFor } = { for: specFor };

function specFor<State, Command, E extends Event>(
  decider: SyncDecider<State, Command, E>,
): DeciderSpecification<Command, E, void>;
function specFor<State, Command, E extends Event>(
  decider: Decider<State, Command, E>,
): DeciderSpecification<Command, E, Promise<void>>;
function specFor<State, Command, E extends Event>(
  decider: Decider<State, Command, E>,
): DeciderSpecification<Command, E, void | Promise<void>> {
  const given = (...events: readonly Events<E>[]): GivenEvents<Command, E, void | Promise<void>> => ({
    when: (...commands) => new Decision(decider, events.flatMap(listOf), commands),
  });
  const none = given();
  return Object.assign(given.bind(undefined), { given, when: none.when.bind(none) });
}

class Decision<State, Command, E extends Event> implements DeciderExpectation<E, void | Promise<void>> {
  constructor(
    private readonly decider: Decider<State, Command, E>,
    private readonly given: readonly E[],
    private readonly commands: readonly Command[],
  ) {}

  // oxlint-disable-next-line unicorn/no-thenable -- That is how such specs read; `await` without it gets an error.
  then(...args: [expected: Events<E>]): void | Promise<void> {
    if (isAwaited(args)) return;
    return this.expect(listOf(args[0]), 'Other events than expected happened:');
  }

  thenNothingHappened(): void | Promise<void> {
    return this.expect([], 'Nothing was expected to happen, but this did:');
  }

  thenThrows<X extends Error>(...expected: ErrorExpectation<X>): void | Promise<void> {
    const state = this.state();
    const refused = (error: unknown): void => expectError([error], expected);
    const decided = (events: readonly E[]): never =>
      nothingThrown(expected, `What happened: ${events.map(({ type }) => type).join(', ') || 'nothing'}.`);
    let events: readonly E[] | Promise<readonly E[]>;
    try {
      events = this.decide(state);
    } catch (error) {
      return refused(error);
    }
    // oxlint-disable-next-line promise/prefer-await-to-then -- What is not async has to stay so.
    return isPromise(events) ? events.then(decided, refused) : decided(events);
  }

  private expect(expected: readonly E[], problem: string): void | Promise<void> {
    const check = (events: readonly E[]): void => {
      if (isEqual(events, expected)) return;
      throw new SpecFailedError(`${problem}\n\n${diff(expected, events)}`, events, expected);
    };
    const events = this.decide(this.state());
    // oxlint-disable-next-line promise/prefer-await-to-then -- What is not async has to stay so.
    return isPromise(events) ? events.then(check) : check(events);
  }

  private state(): State {
    const { evolve, initialState } = this.decider;
    return this.given.reduce((state, event) => evolve(state, event), initialState());
  }

  private decide(state: State): readonly E[] | Promise<readonly E[]> {
    const { decide, evolve } = this.decider;
    const happened: E[] = [];
    let current = state;
    const take = (decided: Events<E>): void => {
      for (const event of listOf(decided)) {
        happened.push(event);
        current = evolve(current, event);
      }
    };
    for (const [i, command] of this.commands.entries()) {
      const decided = decide(command, current);
      if (isPromise(decided)) {
        return (async () => {
          take(await decided);
          for (const next of this.commands.slice(i + 1)) take(await decide(next, current));
          return happened;
        })();
      }
      take(decided);
    }
    return happened;
  }
}

function listOf<E extends Event>(events: Events<E>): readonly E[] {
  return isList(events) ? events : [events];
}

/** `Array.isArray` does not narrow readonly arrays. */
function isList<T>(value: T | readonly T[]): value is readonly T[] {
  return Array.isArray(value);
}

function isPromise<T>(value: T | Promise<T>): value is Promise<T> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}
