import { InvalidArgumentError, assertName } from '@nestbox/core';
import type { Codec } from '../codec/codec.js';
import { assertCollectionName } from '../documents/collection-name.js';
import { STREAM_DELETED } from '../event.types.js';
import type { EventStoreBackend } from '../event-store.backend.js';
import type { Projection, ProjectionMode, ProjectionRegistration } from './projection.types.js';
import { initProjection, wantsDeleted } from './run-projection.js';

/** The projections of a store. */
export class ProjectionRegistry {
  private readonly registered = new Map<string, { type: ProjectionMode; projection: Projection }>();
  private readonly initialized = new Set<Projection>();

  constructor(
    private readonly backend: EventStoreBackend,
    private readonly codec: Codec | undefined,
  ) {}

  get inline(): Projection[] {
    return this.all.filter(({ type }) => type === 'inline').map(({ projection }) => projection);
  }

  /** @throws InvalidArgumentError for a name or a collection that another projection has */
  add(registrations: readonly ProjectionRegistration[]): void {
    if (!Array.isArray(registrations)) throw new InvalidArgumentError('projections', 'must be an array.');
    const added = (registrations as readonly ProjectionRegistration[]).map((registration, i) => {
      const entry =
        'projection' in registration ? registration : { type: 'inline' as const, projection: registration };
      this.check(entry, `projections[${i}]`);
      return entry;
    });
    const known = [...this.all];
    for (const entry of added) {
      assertDistinct(entry.projection, known);
      known.push(entry);
    }
    for (const entry of added) this.registered.set(entry.projection.name, entry);
  }

  /** Creates what those need that were added since the last time. */
  async init(): Promise<void> {
    for (const { projection } of this.all) {
      if (this.initialized.has(projection)) continue;
      await initProjection(this.backend, this.codec, projection);
      this.initialized.add(projection);
    }
  }

  get isInitialized(): boolean {
    return this.initialized.size === this.registered.size;
  }

  find(name: string): Projection | undefined {
    return this.registered.get(name)?.projection;
  }

  /** Those that are not registered are run by a consumer. */
  modeOf(name: string): ProjectionMode {
    return this.registered.get(name)?.type ?? 'async';
  }

  private get all(): { type: ProjectionMode; projection: Projection }[] {
    return [...this.registered.values()];
  }

  private check({ type, projection }: { type: unknown; projection: unknown }, path: string): void {
    if (type !== 'inline' && type !== 'async') {
      throw new InvalidArgumentError(`${path}.type`, "must be 'inline' or 'async'.");
    }
    assertProjection(projection, path);
    if (type === 'inline' && wantsDeleted(projection)) {
      throw new InvalidArgumentError(
        `${path}.projection.canHandle`,
        `names ${STREAM_DELETED}, which only stands in the log. Let a consumer run the projection: type 'async'.`,
      );
    }
  }
}

/** @throws InvalidArgumentError unless it has a name and a handler */
export function assertProjection(projection: unknown, path: string): asserts projection is Projection {
  const { name, handle } = (projection ?? {}) as Partial<Projection>;
  assertName(name, `${path}.name`);
  if (typeof handle !== 'function') {
    throw new InvalidArgumentError(`${path}.handle`, 'must be a function. Make projections by the helpers.');
  }
  const { collections = [], tables = [] } = projection as Projection;
  collections.forEach((collection, i) =>
    assertCollectionName(collection.name, `${path}.collections[${i}].name`),
  );
  tables.forEach((table, i) => assertCollectionName(table, `${path}.tables[${i}]`));
}

function assertDistinct(
  { name, collections = [], tables = [] }: Projection,
  others: readonly { projection: Projection }[],
): void {
  for (const { projection: other } of others) {
    if (other.name === name) {
      throw new InvalidArgumentError(
        'projections',
        `two of them are called "${name}". Give one another name.`,
      );
    }
    const shared =
      collections.find((mine) => other.collections?.some((theirs) => theirs.name === mine.name))?.name ??
      tables.find((mine) => other.tables?.includes(mine));
    if (shared !== undefined) {
      throw new InvalidArgumentError(
        'projections',
        `"${other.name}" and "${name}" both write "${shared}", and a rebuild of one would lose what is the other's. ` +
          'Give each its own, or make one projection of them.',
      );
    }
  }
}
