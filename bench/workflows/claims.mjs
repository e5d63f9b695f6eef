import postgres from 'postgres';
import { summarise } from '../lib/interleave.mjs';
import { median, quantile } from '../lib/statistics.mjs';
import { withDatabase } from '../event-store/databases.mjs';
import { nestbox } from './nestbox-side.mjs';
import { inTurns, keepGoing } from './sides.mjs';
import { runOnce } from './workload.mjs';

const SHORT = 'nestbox, no history';
const CALLERS = 20;
/** How many runs a claim takes, and how many wait. */
const ROOM = 100;
const READY = 1_000;
const WORKFLOW = 'bench.claimed';
/** Of the rate without a history; and how much longer a claim may take with one. The rest is noise. */
const TARGET = 0.8;
const TARGET_TIMES = 1.5;

/** Ours with a long history and with none: it must not matter. */
export async function runClaims({ serverUrl, settings: { claims }, only, log, report }) {
  const history = `${count(claims.finished)} finished and ${count(claims.parked)} parked runs`;
  const rateName = `3-step runs with ${history}, ${CALLERS} callers`;
  const claimName = `claim time with ${history}`;
  if (![rateName, claimName].some((name) => name.includes(only))) return;
  await withDatabase(serverUrl, (longUrl) =>
    withDatabase(serverUrl, async (shortUrl) => {
      log(`${history} …`);
      const sides = [];
      try {
        sides.push(await openSide('nestbox', longUrl, claims), await openSide(SHORT, shortUrl));
        if (claimName.includes(only)) {
          log(`${claimName} …`);
          await measureClaims(sides, claims.rounds, claimName, report);
        }
        if (rateName.includes(only)) {
          log(`${rateName} …`);
          await measureRuns(sides, claims, rateName, report);
        }
      } finally {
        for (const side of sides) await side.close();
      }
    }),
  );
}

async function openSide(name, url, history) {
  const side = await nestbox.open(url, { concurrency: CALLERS });
  const sql = postgres(url, { max: 1, onnotice() {} });
  if (history !== undefined) await fill(sql, history);
  await sql.unsafe('vacuum analyze');
  return {
    ...side,
    name,
    sql,
    async close() {
      await sql.end();
      await side.close();
    },
  };
}

/** Rows as the runs of a while ago have left them: three steps each, and what the parked ones wait for. */
async function fill(sql, { finished, parked }) {
  await sql.unsafe(`
    insert into workflows.workflow_runs (id, workflow, status, input, output, queue, created_at, updated_at)
    select 'finished-' || lpad(i::text, 9, '0'), 'bench.three', 'completed', jsonb_build_object('i', i), to_jsonb(i + 3),
           'default', 1700000000000 + i, 1700000000005 + i
      from generate_series(1, ${finished}) as i`);
  await sql.unsafe(`
    insert into workflows.workflow_steps (run_id, step_name, status, result, seq)
    select 'finished-' || lpad(i::text, 9, '0'), s.name, 'done', to_jsonb(1), s.seq
      from generate_series(1, ${finished}) as i, (values ('a', 0), ('b', 1), ('c', 2)) as s (name, seq)`);
  await sql.unsafe(`
    insert into workflows.workflow_runs (id, workflow, status, input, queue)
    select 'parked-' || lpad(i::text, 9, '0'), 'bench.three', 'suspended', jsonb_build_object('i', i), 'default'
      from generate_series(1, ${parked}) as i`);
  await sql.unsafe(`
    insert into workflows.workflow_active (run_id, workflow, queue, signals, due_at, state, claim)
    select 'parked-' || lpad(i::text, 9, '0'), 'bench.three', 'default',
           case when i % 2 = 0 then array['packed'] end,
           case when i % 2 = 0 then 'infinity' else clock_timestamp() + interval '1 day' + i * interval '1 second' end,
           2, 1
      from generate_series(1, ${parked}) as i`);
}

/** Of the statement alone, on a connection of its own: 100 of the 1,000 runs that are ready, and then a look in vain. */
async function measureClaims(sides, rounds, name, report) {
  const samples = new Map(sides.map((side) => [side.name, { full: [], idle: [] }]));
  await inTurns(sides, rounds, async ({ name: sideName, sql }, round) => {
    await addReady(sql);
    const full = [];
    for (let i = 0; i < READY / ROOM; i++) full.push(await timeClaim(sql, ROOM));
    const idle = [];
    for (let i = 0; i < READY / ROOM; i++) idle.push(await timeClaim(sql, 0));
    await sql.unsafe(`delete from workflows.workflow_runs where workflow = '${WORKFLOW}'`);
    if (round === 0) return;
    samples.get(sideName).full.push(...full.map(({ ms }) => ms));
    samples.get(sideName).idle.push(...idle.map(({ ms }) => ms));
    const taken = full.reduce((sum, { runs }) => sum + runs, 0);
    if (taken !== READY)
      report.failures.push(`${name}, ${sideName}: ${taken} runs claimed instead of ${READY}`);
  });
  for (const kind of ['full', 'idle']) {
    const what = kind === 'full' ? `${ROOM} of ${count(READY)} ready runs` : 'nothing to do';
    const [long, short] = sides.map((side) => samples.get(side.name)[kind]);
    const times = median(long) / median(short);
    report.notes.push(
      `${name}, ${what}: ${quantiles(long)}; with no history ${quantiles(short)}: ${times.toFixed(2)} times as long; ` +
        `target <= ${TARGET_TIMES} ${times <= TARGET_TIMES ? 'met' : 'MISSED'}.`,
    );
  }
}

/** Of a workflow that no worker knows, so that only the statement here takes them. */
async function addReady(sql) {
  await sql.unsafe(`
    insert into workflows.workflow_runs (id, workflow, status, input, queue)
    select 'ready-' || i, '${WORKFLOW}', 'running', 'null', 'default' from generate_series(1, ${READY}) as i`);
  await sql.unsafe(`
    insert into workflows.workflow_active (run_id, workflow, queue)
    select 'ready-' || i, '${WORKFLOW}', 'default' from generate_series(1, ${READY}) as i`);
}

/** In a transaction that also ends what it took, so that nobody takes its worker, which has no lease, for gone. */
async function timeClaim(sql, room) {
  return sql.begin(async (transaction) => {
    const start = performance.now();
    const rows = await transaction.unsafe(
      `select run_id, claim from workflows.wf_claim('bench', $1::integer, $2::text[], null, '{}'::jsonb)`,
      [room, `{${WORKFLOW}}`],
    );
    const ms = performance.now() - start;
    await transaction.unsafe(`delete from workflows.workflow_active where worker = 'bench'`);
    return { ms, runs: rows.filter(({ run_id: id }) => id !== null).length };
  });
}

async function measureRuns(sides, { sliceMs }, name, report) {
  const rates = new Map(sides.map((side) => [side.name, []]));
  await inTurns(sides, 7, async (side, round) => {
    const { rate } = await keepGoing((i) => runOnce(side, i), CALLERS, sliceMs);
    if (round > 0) rates.get(side.name).push(rate);
  });
  report.cases.push({ name, unit: 'runs/s', sides: summarise(rates), targets: { [SHORT]: TARGET } });
}

function quantiles(all) {
  return `p50 ${quantile(all, 0.5).toFixed(2)} ms, p99 ${quantile(all, 0.99).toFixed(2)} ms`;
}

function count(value) {
  return value.toLocaleString('en-US');
}
