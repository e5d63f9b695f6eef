import { InvalidArgumentError } from '@nestbox/core';
import type { ProviderClass } from '@nestbox/nest';
import type { ReactorOptions } from '../consumers/consumer.types.js';
import type { ReactorBatchHandler, ReactorDecoratorOptions, ReactorHandler } from '../reactor.decorator.js';

/**
 * What a consumer takes for a class marked `@Reactor`.
 *
 * @throws InvalidArgumentError when it does not say by its methods what it is
 */
export function reactorOfClass(
  handler: ProviderClass,
  { id, events, ...options }: Omit<ReactorDecoratorOptions, 'store'>,
): ReactorOptions {
  const [handles, handlesBatches] = [handler.has('handle'), handler.has('handleBatch')];
  if (handles === handlesBatches) {
    throw new InvalidArgumentError(
      '@Reactor',
      handles
        ? `${handler.name} has both handle() and handleBatch(). Keep one: handle(event, context) gets one event after the other, handleBatch(events, context) a batch.`
        : `${handler.name} has neither handle() nor handleBatch(). Add handle(event, context) for one event after the other, or handleBatch(events, context) for batches.`,
    );
  }
  return {
    ...options,
    processorId: id,
    canHandle: events,
    ...(handles ? { eachMessage: eachMessageOf(handler) } : { eachBatch: eachBatchOf(handler) }),
  };
}

function eachMessageOf(handler: ProviderClass): NonNullable<ReactorOptions['eachMessage']> {
  if (handler.isSingleton) {
    const instance = handler.singleton as ReactorHandler;
    return (event, context) => instance.handle(event, context);
  }
  return async (event, context) => {
    const instance = await handler.resolve<ReactorHandler>(context);
    return instance.handle(event, context);
  };
}

function eachBatchOf(handler: ProviderClass): NonNullable<ReactorOptions['eachBatch']> {
  if (handler.isSingleton) {
    const instance = handler.singleton as ReactorBatchHandler;
    return (events, context) => instance.handleBatch(events, context);
  }
  return async (events, context) => {
    const instance = await handler.resolve<ReactorBatchHandler>(context);
    return instance.handleBatch(events, context);
  };
}
