/// <reference types="jest" />
import { appending } from './event-store/appending.js';
import { consuming } from './event-store/consuming.js';
import { ending } from './event-store/ending.js';
import { expectations } from './event-store/expectations.js';
import { lifecycle } from './event-store/lifecycle.js';
import { listing } from './event-store/listing.js';
import { log } from './event-store/log.js';
import { messageIds } from './event-store/message-ids.js';
import { modelled } from './event-store/model.js';
import { operating } from './event-store/operating.js';
import { partitions } from './event-store/partitions.js';
import { projecting } from './event-store/projecting.js';
import { projectionRaces } from './event-store/projection-races.js';
import { projections } from './event-store/projections.js';
import { reading } from './event-store/reading.js';
import { sessions } from './event-store/sessions.js';
import { sharing } from './event-store/sharing.js';
import { snapshots } from './event-store/snapshots.js';
import { EventStoreSuite, type EventStoreContractOptions } from './event-store/subject.js';
import { upcasting } from './event-store/upcasting.js';

const PARTS = [
  appending,
  expectations,
  messageIds,
  reading,
  upcasting,
  log,
  sessions,
  ending,
  snapshots,
  partitions,
  listing,
  lifecycle,
  projections,
  projectionRaces,
  consuming,
  sharing,
  operating,
  projecting,
  modelled,
];

/**
 * Defines the tests that every backend of the event store has to pass, below `EventStore`. Call it at the top of a Jest
 * (or Vitest, with globals) test file.
 */
export function eventStoreContract(name: string, options: EventStoreContractOptions): void {
  describe(name, () => {
    const suite = new EventStoreSuite(options);
    afterEach(() => suite.dropTenants());
    afterAll(() => suite.close());
    for (const part of PARTS) part(suite);
  });
}
