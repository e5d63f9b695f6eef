/// <reference types="jest" />
import { delivery } from './backplane/delivery.js';
import { histories } from './backplane/histories.js';
import { lifecycle } from './backplane/lifecycle.js';
import { recovery } from './backplane/recovery.js';
import { BackplaneSuite, type BackplaneContractOptions } from './backplane/subject.js';

const PARTS = [delivery, histories, recovery, lifecycle];

/**
 * Defines the tests that every backplane has to pass. Call it at the top of a Jest (or Vitest, with globals) test file.
 */
export function backplaneContract(name: string, options: BackplaneContractOptions): void {
  describe(name, () => {
    const suite = new BackplaneSuite(options);
    afterEach(() => suite.closeInstances());
    afterAll(() => suite.close());
    for (const part of PARTS) part(suite);
  });
}
