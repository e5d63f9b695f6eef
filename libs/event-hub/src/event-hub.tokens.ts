import { Inject, type InjectionToken } from '@nestjs/common';
import { EventHubService } from './event-hub.service.js';

/** The injection token of a hub: the class EventHubService itself without a name. */
export function getEventHubToken(name?: string): InjectionToken<EventHubService> {
  return name === undefined ? EventHubService : `NestboxEventHub:${name}`;
}

/** Injects the EventHubService of that name. */
export function InjectEventHub(name?: string): PropertyDecorator & ParameterDecorator {
  return Inject(getEventHubToken(name));
}
