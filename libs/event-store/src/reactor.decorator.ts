import { InvalidArgumentError, assertName } from '@nestbox/core';
import { SetMetadata } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import type { HandlerResult, ProcessorOptions, ReactorContext } from './consumers/consumer.types.js';
import type { Event, ReadEvent } from './event.types.js';

const REACTOR = 'nestbox:reactor';

/** What a `@Reactor` class implements; `handleBatch(events, context)` instead of `handle` gets events by the batch. */
export interface ReactorHandler<Events extends Event = Event> {
  /** Gets one event after the other. Each is handled at least once: after a crash, the last batch comes again. */
  handle(event: ReadEvent<Events>, context: ReactorContext): Promise<HandlerResult> | HandlerResult;
}

/** What a `@Reactor` class implements that takes a batch of events at once. */
export interface ReactorBatchHandler<Events extends Event = Event> {
  handleBatch(
    events: readonly ReadEvent<Events>[],
    context: ReactorContext,
  ): Promise<HandlerResult> | HandlerResult;
}

export interface ReactorDecoratorOptions extends ProcessorOptions {
  /** Tells the processors of a store apart; the checkpoint has this name. */
  id: string;
  /** The types of the events that it gets. Default: all. */
  events?: readonly string[];
  /**
   * Runs each batch in a transaction together with its checkpoint, so that what the class writes to this database, by any
   * Nestbox service, happens exactly once. Default: false.
   */
  transactional?: boolean;
  /** The name of the store, for a named one. */
  store?: string;
}

/**
 * Makes a provider a reactor: its class gets the events of the store, by {@link ReactorHandler} (`handle`) or
 * {@link ReactorBatchHandler} (`handleBatch`).
 *
 * @throws InvalidArgumentError
 */
export function Reactor(options: ReactorDecoratorOptions): ClassDecorator {
  assertName(options.id, 'id');
  return (target) => {
    if (Reflect.hasOwnMetadata(REACTOR, target)) {
      throw new InvalidArgumentError('@Reactor', `${target.name} has it twice; write a class for each.`);
    }
    SetMetadata<string, ReactorDecoratorOptions>(REACTOR, options)(target);
  };
}

/** What a class was decorated with, itself or by a class that it extends. */
export function reactorOptionsOf(type: () => unknown): ReactorDecoratorOptions | undefined {
  return new Reflector().get<ReactorDecoratorOptions | undefined>(REACTOR, type);
}
