import type { Codec } from '../codec/codec.js';
import type { AppendOutcome, AppendRequest, EventStoreBackend } from '../event-store.backend.js';
import type { ReadEvent } from '../event.types.js';
import type { EventDecoder } from '../streams/read-event.js';
import {
  applyDocuments,
  hasPlan,
  lockOf,
  type LockedDocuments,
  type PlannedProjection,
} from './apply-documents.js';
import type { Projection } from './projection.types.js';
import { byLocks, runProjections, wantedBy } from './run-projection.js';

/** What an append with projections needs. */
export interface AppendProjecting {
  readonly backend: EventStoreBackend;
  readonly codec: Codec | undefined;
  readonly decoder: EventDecoder;
}

/**
 * Appends and runs inline projections, in one transaction. Projections of documents whose ids can be told before the
 * events have their positions take two round trips: one appends and locks, one writes and commits.
 */
export function appendAndProject(
  tools: AppendProjecting,
  requests: readonly AppendRequest[],
  projections: readonly Projection[],
): Promise<readonly AppendOutcome[]> {
  const { backend } = tools;
  const ahead = backend.inTransaction ? undefined : lockAhead(tools, requests, projections);
  return backend.transaction(async () => {
    if (ahead === undefined) {
      const outcomes = await backend.append(requests);
      const events = appendedEvents(tools.decoder, requests, outcomes);
      if (events.length > 0) await runProjections(backend, tools.codec, projections, events);
      return outcomes;
    }
    const locks = ahead.map(({ lock }) => lock);
    const { outcomes, documents } = await backend.appendAndLock(requests, locks);
    const events = appendedEvents(tools.decoder, requests, outcomes);
    for (const [i, { projection, lock }] of ahead.entries()) {
      const wanted = wantedBy(projection, events);
      if (wanted.length === 0) continue;
      const locked: LockedDocuments = new Map(lock.ids.map((id, k) => [id, documents[i]![k]]));
      await applyDocuments(backend, tools.codec, projection, wanted, { locked, atCommit: true });
    }
    return outcomes;
  });
}

interface LockedAhead {
  readonly projection: PlannedProjection;
  readonly lock: ReturnType<typeof lockOf>;
}

/** Undefined when the documents cannot be told yet. */
function lockAhead(
  { decoder }: AppendProjecting,
  requests: readonly AppendRequest[],
  projections: readonly Projection[],
): LockedAhead[] | undefined {
  if (!projections.every(hasPlan)) return undefined;
  try {
    const events = requests.flatMap((request) => decoder.decodeAhead(request));
    return [...projections]
      .sort(byLocks)
      .map((projection) => ({ projection, lock: lockOf(projection, wantedBy(projection, events)) }))
      .filter(({ lock }) => lock.keys.length > 0);
  } catch {
    // It wants to know a position. Any other error comes again when the event has one.
    return undefined;
  }
}

/** In the order of the log. */
function appendedEvents(
  decoder: EventDecoder,
  requests: readonly AppendRequest[],
  outcomes: readonly AppendOutcome[],
): ReadEvent[] {
  const events = requests.flatMap((request, i) => {
    const outcome = outcomes[i]!;
    return outcome.kind === 'appended' ? decoder.decodeAppended(request, outcome) : [];
  });
  return requests.length === 1 ? events : events.sort(byPosition);
}

function byPosition(a: ReadEvent, b: ReadEvent): number {
  return a.metadata.globalPosition < b.metadata.globalPosition ? -1 : 1;
}
