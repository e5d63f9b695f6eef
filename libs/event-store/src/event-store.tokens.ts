import { Inject, type InjectionToken } from '@nestjs/common';
import { EventStore } from './event-store.js';

/** The injection token of a store: the class EventStore itself without a name. */
export function getEventStoreToken(name?: string): InjectionToken<EventStore> {
  return name === undefined ? EventStore : `NestboxEventStore:${name}`;
}

/** Injects the EventStore of that name. */
export function InjectEventStore(name?: string): PropertyDecorator & ParameterDecorator {
  return Inject(getEventStoreToken(name));
}
