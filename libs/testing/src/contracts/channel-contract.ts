/// <reference types="jest" />
import { badInput } from './channels/bad-input.js';
import { concurrency } from './channels/concurrency.js';
import { entries } from './channels/entries.js';
import { lifecycle } from './channels/lifecycle.js';
import { listing } from './channels/listing.js';
import { modelled } from './channels/model.js';
import { nodes } from './channels/nodes.js';
import { sessions } from './channels/sessions.js';
import { ChannelSuite, type ChannelContractOptions } from './channels/subject.js';

const PARTS = [entries, sessions, badInput, listing, nodes, concurrency, lifecycle, modelled];

/**
 * Defines the tests that every store of channels has to pass. Call it at the top of a Jest (or Vitest, with globals)
 * test file.
 */
export function channelContract(name: string, options: ChannelContractOptions): void {
  describe(name, () => {
    const suite = new ChannelSuite(options);
    afterAll(() => suite.close());
    for (const part of PARTS) part(suite);
  });
}
