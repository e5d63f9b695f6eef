import { ProjectionFailedError, type Event } from '@nestbox/event-store';
import { documentsAre, type ExpectedDocument, type ProjectionCheck } from './checks.js';
import { byStream, type SpecInput } from './events-in-stream.js';
import { expectError, nothingThrown, type ErrorExpectation } from './expect-error.js';
import { withProjection, type ProjectionSpecOptions } from './projection-run.js';
import { SpecFailedError } from './spec.errors.js';
import { isAwaited } from './unfinished.js';

/** What is expected: documents, a check of your own, or several checks. */
export type ProjectionExpectation =
  ProjectionCheck | readonly ProjectionCheck[] | readonly ExpectedDocument[];

/** A specification of a projection: what was projected before comes first. */
export interface ProjectionSpecification<E extends Event> extends ProjectionGiven<E> {
  /** What was projected before. Emmett writes it so. */
  (...events: readonly SpecInput<E>[]): ProjectionGiven<E>;
  /** What was projected before. */
  given(...events: readonly SpecInput<E>[]): ProjectionGiven<E>;
}

/** What was projected before; what is projected now comes next. */
export interface ProjectionGiven<E extends Event> extends ProjectionThen {
  /** What is projected now. */
  when(...events: readonly SpecInput<E>[]): ProjectionWhen;
}

/** What the documents or tables are expected to be afterwards. */
export interface ProjectionThen {
  /**
   * Runs all of it, in a store of its own, and resolves when what is expected holds. To be awaited.
   *
   * @throws SpecFailedError; what the projection throws
   */
  then(expected: ProjectionExpectation): Promise<void>;
}

/** What is projected now; the expectation comes next. */
export interface ProjectionWhen extends ProjectionThen {
  /**
   * The projection refuses what is projected now: `thenThrows()`, `thenThrows(NoSuchProductError)`,
   * `thenThrows((error) => …)`, or both. To be awaited.
   *
   * @throws SpecFailedError
   */
  thenThrows<X extends Error = Error>(...expected: ErrorExpectation<X>): Promise<void>;
}

/**
 * Tests a projection on an event store in memory, or on the one of `source`.
 *
 * ```ts
 * const spec = ProjectionSpec.for({ projection: cartDetails });
 *
 * await spec
 *   .given(eventsInStream('cart-1', [itemAdded('tea', 2)]))
 *   .when(eventsInStream('cart-1', [confirmed()]))
 *   .then([{ _id: 'cart-1', items: { tea: 2 }, status: 'confirmed' }]);
 * ```
 */
export const ProjectionSpec: { for: typeof specFor } = { for: specFor };

function specFor<E extends Event>(options: ProjectionSpecOptions<E>): ProjectionSpecification<E> {
  const given = (...events: readonly SpecInput<E>[]): Scenario<E> => new Scenario(options, events, []);
  const none = given();
  return Object.assign(given.bind(undefined), {
    given,
    when: none.when.bind(none),
    // oxlint-disable-next-line unicorn/no-thenable -- See Scenario.
    then: none.then.bind(none),
  });
}

class Scenario<E extends Event> implements ProjectionGiven<E>, ProjectionWhen {
  constructor(
    private readonly options: ProjectionSpecOptions<E>,
    private readonly givenEvents: readonly SpecInput<E>[],
    private readonly whenEvents: readonly SpecInput<E>[],
  ) {}

  when(...events: readonly SpecInput<E>[]): Scenario<E> {
    return new Scenario(this.options, this.givenEvents, events);
  }

  // oxlint-disable-next-line unicorn/no-thenable -- That is how such specs read; `await` without it gets an error.
  async then(...args: [expected: ProjectionExpectation]): Promise<void> {
    if (isAwaited(args)) return;
    const checks = checksOf(args[0]);
    await withProjection(this.options, async (run) => {
      await run.append(byStream(this.givenEvents));
      await run.append(byStream(this.whenEvents));
      for (const check of checks) {
        if ((await check(run.outcome)) === false)
          throw new SpecFailedError('A check of the spec returned false.');
      }
    });
  }

  async thenThrows<X extends Error>(...expected: ErrorExpectation<X>): Promise<void> {
    await withProjection(this.options, async (run) => {
      await run.append(byStream(this.givenEvents));
      try {
        await run.append(byStream(this.whenEvents));
      } catch (error) {
        expectError(error instanceof ProjectionFailedError ? [error, error.cause] : [error], expected);
        return;
      }
      nothingThrown(expected, 'The projection took all events.');
    });
  }
}

function checksOf(expected: ProjectionExpectation): readonly ProjectionCheck[] {
  if (typeof expected === 'function') return [expected];
  return areChecks(expected) ? expected : [documentsAre(expected)];
}

function areChecks(
  expected: readonly ProjectionCheck[] | readonly ExpectedDocument[],
): expected is readonly ProjectionCheck[] {
  return expected.length > 0 && expected.every((each) => typeof each === 'function');
}
