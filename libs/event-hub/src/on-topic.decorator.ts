import { InvalidArgumentError } from '@nestbox/core';
import { SetMetadata } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { parseTopicPattern } from './service/topic-pattern.js';

const ON_TOPIC = 'nestbox:on-topic';

/** Options of `@OnTopic`. */
export interface OnTopicOptions {
  /** The name of the hub, for a named one. */
  store?: string;
}

/** What a method listens to. */
export interface OnTopicBinding {
  topicOrPattern: string;
  store: string | undefined;
}

/**
 * Calls a method of a provider for what any instance publishes to a topic, or to all that match a pattern, as
 * {@link EventHubService.on} does. It gets the data and the context. May stand more than once on a method.
 *
 * @throws InvalidArgumentError
 */
export function OnTopic(topicOrPattern: string, { store }: OnTopicOptions = {}): MethodDecorator {
  parseTopicPattern(topicOrPattern, 'topicOrPattern');
  return (target, property, descriptor: PropertyDescriptor) => {
    if (typeof descriptor.value !== 'function') {
      throw new InvalidArgumentError('@OnTopic', `${String(property)} is no method.`);
    }
    // Decorators run from the last to the first.
    const bindings = [{ topicOrPattern, store }, ...bindingsOf(descriptor.value as () => unknown)];
    SetMetadata<string, readonly OnTopicBinding[]>(ON_TOPIC, bindings)(target, property, descriptor);
  };
}

/** What a method listens to; empty for other methods. */
export function bindingsOf(method: () => unknown): readonly OnTopicBinding[] {
  return new Reflector().get<readonly OnTopicBinding[] | undefined>(ON_TOPIC, method) ?? [];
}
