import { InvalidArgumentError } from '@nestbox/core';
import type { ReadEvent } from '../event.types.js';
import type { Document, DocumentPlan } from './projection.types.js';

/** An event, and the documents that it changes. */
export interface PlannedEvent {
  readonly event: ReadEvent;
  readonly ids: readonly string[];
}

/** Which documents the events change; events that change none are left out. */
export function planEvents(plan: DocumentPlan, events: readonly ReadEvent[]): PlannedEvent[] {
  return events.map((event) => ({ event, ids: plan.idsOf(event) })).filter(({ ids }) => ids.length > 0);
}

/**
 * Applies events to documents in order.
 *
 * @param keyOf tells documents apart
 * @param documents what is there, by key; receives what is there afterwards, null for what was deleted
 * @returns the keys of the documents that were changed
 */
export async function evolveDocuments(
  plan: DocumentPlan,
  planned: readonly PlannedEvent[],
  keyOf: (event: ReadEvent, id: string) => string,
  documents: Map<string, Document | null>,
): Promise<Set<string>> {
  const changed = new Set<string>();
  for (const { event, ids } of planned) {
    for (const id of ids) {
      const key = keyOf(event, id);
      const before = documents.get(key) ?? null;
      const evolved = plan.evolve(before, event);
      // Most are synchronous, and an await for each event would be felt.
      const after = evolved instanceof Promise ? await evolved : evolved;
      if (after === undefined) {
        throw new InvalidArgumentError(
          'evolve',
          `returned undefined for ${event.type}; return the document, or null where there is to be none.`,
        );
      }
      if (before === null && after === null) continue;
      documents.set(key, after);
      changed.add(key);
    }
  }
  return changed;
}
