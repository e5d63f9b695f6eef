import { fromTemplate, one, setText, showList } from './dom.js';
import { reading } from './reading.js';
import { duration } from './words.js';

const EVERY_MS = 5000;
const TIMEOUT_MS = 4000;

/** What people call the modules. */
const NAMES = {
  postgres: 'PostgreSQL',
  typeorm: 'TypeORM',
  kv: 'Key-value store',
  eventStore: 'Event store',
  workflows: 'Workflows',
  channels: 'Channels',
  eventHub: 'Event hub',
  redis: 'Redis',
};
const OVERALL = {
  ok: 'Everything works.',
  degraded: 'The shop limps, but it sells.',
  error: 'The shop cannot sell right now.',
  away: 'The shop does not answer.',
};

/** A light for each module, asked for every few seconds while somebody looks. */
export class Health {
  #onReport;
  #known = [];
  #check = reading(() => this.#load());

  /** `onReport` is called each time, with whether the shop can sell, and whether it can tell what happens. */
  constructor({ onReport }) {
    this.#onReport = onReport;
  }

  follow() {
    setInterval(() => {
      if (document.visibilityState === 'visible') void this.#check();
    }, EVERY_MS);
    document.addEventListener('visibilitychange', () => {
      if (document.visibilityState === 'visible') void this.#check();
    });
    return this.#check();
  }

  check() {
    return this.#check();
  }

  async #load() {
    const { status, details } = await ask();
    // Those that were there are shown as not known while nobody answers.
    this.#known = [...new Set([...Object.keys(details), ...this.#known])];
    showList(
      one('#health'),
      this.#known.map((name) => ({ name, ...(details[name] ?? { status: 'unknown' }) })),
      { key: ({ name }) => name, create: () => fromTemplate('health-light'), update: update },
    );
    setText(one('#health-all'), OVERALL[status]);
    one('#health-all').dataset.status = status;
    const isUp = (name) => details[name]?.status === 'up';
    this.#onReport({
      sells: status === 'ok' || status === 'degraded',
      tells: isUp('channels') && isUp('eventHub'),
    });
  }
}

/** Whatever is wrong is an answer, too. */
async function ask() {
  try {
    const options = { cache: 'no-store', signal: AbortSignal.timeout(TIMEOUT_MS) };
    const { status, details = {} } = await (await fetch('health', options)).json();
    // A shop that is starting answers with a problem.
    return { status: status in OVERALL ? status : 'away', details };
  } catch {
    return { status: 'away', details: {} };
  }
}

/** Some call it latency, others response time. */
function update(light, { name, status, responseTime, latencyMs = responseTime, message }) {
  light.dataset.status = status;
  setText(one('.name', light), NAMES[name] ?? name);
  setText(one('.state', light), status);
  setText(one('.latency', light), status === 'up' && latencyMs !== undefined ? duration(latencyMs) : '');
  setText(one('.message', light), status === 'up' ? '' : (message ?? ''));
}
