/// <reference types="jest" />
import { badInput } from './event-hub/bad-input.js';
import { concurrency } from './event-hub/concurrency.js';
import { lifecycle } from './event-hub/lifecycle.js';
import { modelled } from './event-hub/model.js';
import { removal } from './event-hub/removal.js';
import { EventHubSuite, type EventHubContractOptions } from './event-hub/subject.js';
import { subscribing } from './event-hub/subscribing.js';
import { topics } from './event-hub/topics.js';

const PARTS = [subscribing, topics, removal, badInput, concurrency, lifecycle, modelled];

/**
 * Defines the tests that every store of subscriptions has to pass, together with the store of its channels. Call it at
 * the top of a Jest (or Vitest, with globals) test file.
 */
export function eventHubContract(name: string, options: EventHubContractOptions): void {
  describe(name, () => {
    const suite = new EventHubSuite(options);
    afterAll(() => suite.close());
    for (const part of PARTS) part(suite);
  });
}
