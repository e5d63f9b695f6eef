import { DBOS, DBOSClient } from '@dbos-inc/dbos-sdk';
import { nothing } from './workload.mjs';

const NAME = 'benchThree';
const TABLE = 'dbos.workflow_status';
const QUEUE = 'bench';
const APPLICATION = 'nestbox-bench';
const SILENT = { info() {}, debug() {}, warn() {}, error: console.error };

let middle = nothing;

/** DBOS has one registry and one executor per process. */
const three = DBOS.registerWorkflow(
  async ({ i }) => {
    const a = await DBOS.runStep(async () => i, { name: 'a' });
    const b = await DBOS.runStep(async () => middle(), { name: 'b' });
    const c = await DBOS.runStep(async () => 2, { name: 'c' });
    return a + b + c;
  },
  { name: NAME },
);

/**
 * DBOS as its programming guide sets it up: `setConfig`, `launch`, and workflows started where they execute, which spares it its queues and
 * their polling. Its pool has ten connections, its default; nothing limits how many workflows run at once.
 */
export const dbos = {
  name: 'dbos',
  open: (url, { works = true, middle: step = nothing } = {}) =>
    works ? openExecutor(url, step) : openClient(url),
};

async function openExecutor(url, step) {
  middle = step;
  DBOS.setConfig({ name: APPLICATION, systemDatabaseUrl: url, logger: SILENT });
  await DBOS.launch();
  return {
    name: 'dbos',
    url,
    async run(input) {
      const handle = await DBOS.startWorkflow(three)(input);
      return handle.getResult();
    },
    enqueue: (input) => DBOS.startWorkflow(three)(input),
    work: async () => {},
    rest: async () => {},
    table: TABLE,
    isCompleted: `status = 'SUCCESS'`,
    close: () => DBOS.shutdown(),
  };
}

/** For a program that only starts runs, for others to execute: these go by way of a queue. */
async function openClient(url) {
  // Its tables are made by whoever executes workflows.
  await (await openExecutor(url, nothing)).close();
  const client = await DBOSClient.create({
    systemDatabaseUrl: url,
    applicationName: APPLICATION,
    logger: SILENT,
  });
  await client.registerQueue(QUEUE);
  return {
    name: 'dbos',
    url,
    enqueue: (input) => client.enqueue({ workflowName: NAME, queueName: QUEUE }, input),
    work: async () => {},
    rest: async () => {},
    table: TABLE,
    close: () => client.destroy(),
  };
}
