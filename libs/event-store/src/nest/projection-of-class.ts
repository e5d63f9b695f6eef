import { InvalidArgumentError } from '@nestbox/core';
import type { ProviderClass } from '@nestbox/nest';
import type {
  DocumentProjection,
  ProjectionDecoratorOptions,
  ProjectionHandler,
} from '../projection.decorator.js';
import type { Projection, ProjectionContext } from '../projections/projection.types.js';
import { multiStreamProjection } from '../projections/multi-stream.projection.js';
import { singleStreamProjection } from '../projections/single-stream.projection.js';

/**
 * The projection that a class marked `@Projection` stands for.
 *
 * @throws InvalidArgumentError when it does not say by its methods what it is
 */
export function projectionOfClass(handler: ProviderClass, options: ProjectionDecoratorOptions): Projection {
  const [evolves, handles] = [handler.has('evolve'), handler.has('handle')];
  if (evolves === handles) {
    throw refusal(
      handler,
      handles
        ? 'has both evolve() and handle(). Keep one: evolve(document, event) for documents that are kept for it, handle(events, context) to write what it likes.'
        : 'has neither evolve() nor handle(). Add evolve(document, event) for documents that are kept for it, or handle(events, context) to write what it likes.',
    );
  }
  return evolves ? documentProjection(handler, options) : handlerProjection(handler, options);
}

function documentProjection(
  handler: ProviderClass,
  { name, events, collection, indexes, indexAll, tables, version, upcast }: ProjectionDecoratorOptions,
): Projection {
  if (!handler.isSingleton) {
    throw refusal(
      handler,
      'is made anew for each request, and a projection with evolve() has none. Let it and what it injects be singletons, or give it handle(events, context).',
    );
  }
  if (tables !== undefined) {
    throw refusal(handler, 'has evolve(), which writes a collection and no tables. Leave `tables` out.');
  }
  const byEvent = handler.has('getDocumentId');
  const byEvents = handler.has('getDocumentIds');
  if (byEvent && byEvents) {
    throw refusal(handler, 'has both getDocumentId() and getDocumentIds(). Keep one.');
  }
  const instance = handler.singleton as DocumentProjection;
  const common = {
    name,
    collectionName: collection ?? name,
    canHandle: events,
    evolve: instance.evolve.bind(instance),
    initialState: instance.initialState?.bind(instance),
    indexes,
    indexAll,
    version,
    upcast,
  };
  if (byEvents) {
    return multiStreamProjection({ ...common, getDocumentIds: instance.getDocumentIds!.bind(instance) });
  }
  if (byEvent)
    return multiStreamProjection({ ...common, getDocumentId: instance.getDocumentId!.bind(instance) });
  return singleStreamProjection(common);
}

function handlerProjection(
  handler: ProviderClass,
  {
    name,
    events,
    collection,
    indexes = [],
    indexAll = false,
    tables,
    version,
    upcast,
  }: ProjectionDecoratorOptions,
): Projection {
  if (version !== undefined) {
    throw refusal(
      handler,
      'has handle(), which makes what it likes. Put the version into its names yourself.',
    );
  }
  if (collection === undefined && (indexes.length > 0 || indexAll)) {
    throw refusal(handler, 'has indexes, but no collection. Name it: `collection`.');
  }
  const use = instanceFor(handler);
  return {
    name,
    canHandle: events,
    collections: collection === undefined ? undefined : [{ name: collection, indexes, indexAll }],
    tables,
    upcast,
    handle: (batch, context) => use(context, (instance) => instance.handle(batch, context)),
    init: handler.has('init') ? (context) => use(context, (instance) => instance.init!(context)) : undefined,
    truncate: handler.has('truncate')
      ? (context) => use(context, (instance) => instance.truncate!(context))
      : undefined,
  };
}

type Work = (instance: ProjectionHandler) => Promise<void> | void;

function instanceFor(
  handler: ProviderClass,
): (context: ProjectionContext, work: Work) => Promise<void> | void {
  if (handler.isSingleton) {
    const instance = handler.singleton as ProjectionHandler;
    return (_, work) => work(instance);
  }
  return async (context, work) => work(await handler.resolve<ProjectionHandler>(context));
}

function refusal(handler: ProviderClass, problem: string): InvalidArgumentError {
  return new InvalidArgumentError('@Projection', `${handler.name} ${problem}`);
}
