import { InvalidArgumentError } from '@nestbox/core';
import { ProviderClass, isForModule } from '@nestbox/nest';
import type { DiscoveryService, ModuleRef } from '@nestjs/core';
import type { ProjectorOptions, ReactorOptions } from './consumers/consumer.types.js';
import { getEventStoreToken } from './event-store.tokens.js';
import { projectionOfClass } from './nest/projection-of-class.js';
import { reactorOfClass } from './nest/reactor-of-class.js';
import { projectionOptionsOf, type ProjectionDecoratorOptions } from './projection.decorator.js';
import type { Projection, ProjectionMode, ProjectionRegistration } from './projections/projection.types.js';
import { reactorOptionsOf } from './reactor.decorator.js';

/** What the classes of an application do with the events of one store. */
export interface DiscoveredHandlers {
  projections: { type: ProjectionMode; projection: Projection }[];
  projectors: ProjectorOptions[];
  reactors: ReactorOptions[];
}

/** Finds the `@Projection` and `@Reactor` classes among the application's providers and controllers. */
export class HandlerExplorer {
  constructor(
    private readonly name: string | undefined,
    private readonly discovery: DiscoveryService,
    private readonly moduleRef: ModuleRef,
  ) {}

  /**
   * Those of this store, once all of them have been made.
   *
   * @param configured the projections that the store has without them; async ones are run like those of classes
   * @throws InvalidArgumentError which names the class
   */
  explore(configured: readonly ProjectionRegistration[] = []): DiscoveredHandlers {
    const found: DiscoveredHandlers = { projections: [], projectors: [], reactors: [] };
    const names = new Names('projections', 'name');
    const ids = new Names('processors', 'id');
    for (const registration of configured) {
      const { type, projection } =
        'projection' in registration ? registration : { type: 'inline', projection: registration };
      const { name } = projection;
      names.claim(name, CONFIGURED);
      if (type !== 'async') continue;
      ids.claim(name, CONFIGURED);
      found.projectors.push({ projection });
    }
    for (const handler of ProviderClass.all(this.discovery, this.moduleRef)) {
      const projection = projectionOptionsOf(handler.type);
      if (projection !== undefined && this.isOurs('@Projection', projection.store, handler)) {
        names.claim(projection.name, handler);
        if (projection.mode !== 'inline') ids.claim(projection.name, handler);
        addProjection(found, handler, projection);
      }
      const reactor = reactorOptionsOf(handler.type);
      if (reactor !== undefined && this.isOurs('@Reactor', reactor.store, handler)) {
        ids.claim(reactor.id, handler);
        found.reactors.push(reactorOfClass(handler, reactor));
      }
    }
    return found;
  }

  /** Whether it is for this store; if not, there has to be another. */
  private isOurs(decorator: string, store: string | undefined, { name: className }: ProviderClass): boolean {
    const ours = {
      what: 'event store',
      moduleName: 'EventStoreModule',
      name: this.name,
      tokenOf: getEventStoreToken,
    };
    return isForModule(ours, this.moduleRef, decorator, className, store);
  }
}

function addProjection(
  found: DiscoveredHandlers,
  handler: ProviderClass,
  options: ProjectionDecoratorOptions,
): void {
  const projection = projectionOfClass(handler, options);
  if (options.mode === 'inline') {
    found.projections.push({ type: 'inline', projection });
    return;
  }
  found.projections.push({ type: 'async', projection });
  const { startFrom, batchSize, lease, parallelism, retry, deadLetter } = options;
  found.projectors.push({ projection, startFrom, batchSize, lease, parallelism, retry, deadLetter });
}

const CONFIGURED = { name: "one of the module's option `projections`", module: undefined };

type Owner = Pick<ProviderClass, 'name' | 'module'>;

/** Names that are given once in a store. */
class Names {
  private readonly owners = new Map<string, Owner>();

  constructor(
    private readonly what: string,
    private readonly property: string,
  ) {}

  claim(name: string, owner: Owner): void {
    const other = this.owners.get(name);
    if (other !== undefined) {
      throw new InvalidArgumentError(
        this.property,
        `${describe(other)} and ${describe(owner)} are both ${this.what} "${name}" of one event store. ` +
          (other.name === owner.name
            ? 'Provide the class in one module, and export it to the others.'
            : `Give one of them another ${this.property}.`),
      );
    }
    this.owners.set(name, owner);
  }
}

function describe({ name, module }: Owner): string {
  return module === undefined ? name : `${name} (in ${module})`;
}
