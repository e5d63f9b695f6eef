import { fromTemplate, one, setText, showList } from './dom.js';
import { duration, stepName } from './words.js';

const STATES = {
  running: 'under way',
  waiting: 'waiting',
  done: 'done',
  error: 'failed',
  'given-up': 'given up',
};

/** The steps of a checkout, in the order in which they have begun. */
export class OrderSteps {
  #list;
  #steps = new Map();

  constructor(list) {
    this.#list = list;
  }

  /** What comes late does not put a step back to where it was. */
  put(step) {
    const known = this.#steps.get(step.name);
    if (known !== undefined && rankOf(step) < rankOf(known)) return;
    const since = step.status === 'running' ? (known?.since ?? performance.now()) : undefined;
    this.#steps.set(step.name, { ...step, since });
  }

  /** They begin anew. */
  clear() {
    this.#steps.clear();
  }

  /** What waits in an order that is cancelled does so no more. */
  show(orderStatus) {
    showList(this.#list, [...this.#steps.values()], {
      key: ({ name }) => name,
      create: () => fromTemplate('order-step'),
      update: (row, step) => {
        const isGivenUp = step.status === 'waiting' && orderStatus === 'cancelled';
        const state = isGivenUp ? 'given-up' : step.status;
        row.dataset.status = state;
        setText(one('.name', row), stepName(step.name));
        setText(one('.state', row), STATES[state]);
        setText(one('.took', row), tookOf(step));
        setText(one('.tries', row), step.attempts > 1 ? `${step.attempts} attempts` : '');
        setText(one('.reason', row), step.status === 'done' ? '' : (step.error ?? ''));
      },
    });
  }

  /** The time of what is under way goes on. */
  tick() {
    for (const [i, step] of [...this.#steps.values()].entries()) {
      if (step.since !== undefined) setText(one('.took', this.#list.children[i]), tookOf(step));
    }
  }
}

/** Later tries come after earlier ones, and the end of a try after its beginning. */
function rankOf({ status, attempts }) {
  return attempts * 2 + (status === 'done' || status === 'error' ? 1 : 0);
}

function tookOf({ since, durationMs }) {
  if (since !== undefined) return duration(performance.now() - since);
  return durationMs === null ? '' : duration(durationMs);
}
