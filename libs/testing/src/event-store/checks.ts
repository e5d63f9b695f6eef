import { diff } from './diff.js';
import { isEqual, withExpected } from './equal.js';
import type { ProjectionOutcome } from './projection-run.js';
import { SpecFailedError } from './spec.errors.js';

/** Checks what a projection has made: by throwing, or by returning false. */
export type ProjectionCheck = (outcome: ProjectionOutcome) => void | boolean | Promise<void | boolean>;

/** A document with its id. Matchers such as `expect.any(String)` may stand in for values. */
export interface ExpectedDocument {
  readonly _id: string;
  readonly [property: string]: unknown;
}

/** The collection that a check looks into. */
export interface InCollection {
  /** May be left out where the projection has one collection only. */
  in?: string;
}

/** There is such a document. */
export function documentExists(
  id: string,
  {
    in: name,
    matching = {},
  }: InCollection & {
    /** What it has, at least; objects inside may have more as well, arrays have exactly these items. Default: anything. */
    matching?: object;
  } = {},
): ProjectionCheck {
  return async (outcome) => {
    const collection = outcome.collection(name);
    const document = await collection.get(id);
    if (document === undefined) {
      const there = (await collection.find()).map(({ _id }) => `"${_id}"`);
      throw new SpecFailedError(
        `There is no document "${id}" in "${collection.name}", which has ` +
          `${there.length === 0 ? 'none' : there.join(', ')}.`,
        undefined,
        matching,
      );
    }
    if (isEqual(document, matching, true)) return;
    const expected = withExpected(document, matching);
    throw new SpecFailedError(
      `Document "${id}" in "${collection.name}" is not as expected:\n\n${diff(expected, document)}`,
      document,
      expected,
    );
  };
}

/** There is no such document. */
export function documentDoesNotExist(id: string, { in: name }: InCollection = {}): ProjectionCheck {
  return async (outcome) => {
    const collection = outcome.collection(name);
    const document = await collection.get(id);
    if (document === undefined) return;
    throw new SpecFailedError(
      `There is a document "${id}" in "${collection.name}", and none was expected:\n\n${diff(undefined, document)}`,
      document,
    );
  };
}

/** These are all documents, in any order, and all that they have. */
export function documentsAre(
  expected: readonly ExpectedDocument[],
  { in: name }: InCollection = {},
): ProjectionCheck {
  return async (outcome) => {
    const collection = outcome.collection(name);
    const documents = await collection.find();
    const rank = new Map(documents.map(({ _id }, i) => [_id, i]));
    const rankOf = ({ _id }: ExpectedDocument): number => rank.get(_id) ?? Infinity;
    const inOrder = expected.toSorted((a, b) => (rankOf(a) === rankOf(b) ? 0 : rankOf(a) - rankOf(b)));
    if (isEqual(documents, inOrder)) return;
    throw new SpecFailedError(
      `The documents in "${collection.name}" are not as expected:\n\n${diff(inOrder, documents)}`,
      documents,
      inOrder,
    );
  };
}
