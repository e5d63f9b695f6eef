const MAX_SHOWN = 12;
/** How often the time of what is under way is shown anew, in ms. */
const TICK_MS = 100;

/** What people call the steps of a checkout; those of a parcel come with its number in front. */
const STEPS = {
  reserve: 'Reserve the stock',
  'open payment': 'Open a payment',
  charge: 'Charge the card',
  'record payment': 'Note the payment',
  packed: 'Wait until it is packed',
  pack: 'Note that it is packed',
  'hand over': 'Hand over to the carrier',
  collect: 'have it collected',
  record: 'note it',
  finish: 'Close the order',
};

/**
 * The orders as they come in, each with the steps of its checkout. What begins and ends is told by the hub; when the
 * checkout ends or waits, and when something was missed, all of it is read anew.
 */
export class Orders {
  #live;
  #describe;
  /** By id, the newest last. */
  #shown = new Map();

  /** `describe` makes a sentence of an order. */
  constructor(live, { describe }) {
    this.#live = live;
    this.#describe = describe;
  }

  async follow() {
    this.#live.join('orders', { onMessage: (order) => this.#add(order), onMissed: () => void this.#load() });
    await this.#load();
    setInterval(() => this.#tick(), TICK_MS);
  }

  /** Something about an order that is none. */
  say(text) {
    const item = document.createElement('li');
    item.className = 'problem';
    item.textContent = text;
    one('#orders').prepend(item);
    setTimeout(() => item.remove(), 10_000);
  }

  async #load() {
    const response = await fetch(`orders?limit=${MAX_SHOWN}`, { cache: 'no-store' });
    if (!response.ok) return;
    const { orders } = await response.json();
    for (const order of orders.reverse()) this.#add(order);
  }

  #add({ id, items, total }) {
    if (this.#shown.has(id)) return;
    const node = one('#order-entry').content.cloneNode(true).firstElementChild;
    node.querySelector('.what').textContent = this.#describe({ items, total });
    const order = {
      id,
      node,
      steps: new Map(),
      status: undefined,
      error: null,
      reading: false,
      stale: false,
    };
    for (const [name, label] of [
      ['packed', 'Packed'],
      ['cancel', 'Cancel'],
      ['retry', 'Try again'],
    ]) {
      const button = node.querySelector(`.${name}`);
      button.setAttribute('aria-label', `${label}: ${this.#describe({ items, total })}`);
      button.addEventListener('click', () => void this.#ask(order, name));
    }
    this.#shown.set(id, order);
    one('#orders').prepend(node);
    one('#no-orders').hidden = true;
    this.#live.join(topicOf(id), {
      onMessage: (news) => this.#told(order, news),
      onMissed: () => void this.#read(order),
    });
    void this.#read(order);
    if (this.#shown.size > MAX_SHOWN) this.#remove(this.#shown.values().next().value);
  }

  #remove({ id, node }) {
    this.#live.leave(topicOf(id));
    this.#shown.delete(id);
    node.remove();
  }

  async #ask(order, what) {
    for (const button of order.node.querySelectorAll('button')) button.disabled = true;
    const response = await fetch(`orders/${encodeURIComponent(order.id)}/${what}`, { method: 'POST' });
    if (response.ok && what === 'retry') order.steps.clear();
    if (!response.ok) this.say((await response.json()).detail ?? response.statusText);
    await this.#read(order);
  }

  #told(order, { steps = [], end, event }) {
    for (const step of steps) this.#put(order, step);
    this.#show(order);
    if (end === undefined && event === undefined) return;
    // Tried again by somebody, it begins anew.
    if (event?.type === 'StockReserved' && order.status === 'cancelled') order.steps.clear();
    void this.#read(order);
  }

  /** Where it is asked for while it is under way, once more afterwards. */
  async #read(order) {
    order.stale = true;
    if (order.reading) return;
    order.reading = true;
    try {
      while (order.stale) {
        order.stale = false;
        const path = `orders/${encodeURIComponent(order.id)}/steps`;
        const response = await fetch(path, { cache: 'no-store' });
        if (!response.ok) return;
        const { status, error, steps } = await response.json();
        Object.assign(order, { status, error });
        for (const step of steps) this.#put(order, step);
        this.#show(order);
      }
    } catch {
      // Without a connection; there is more to read when it is back.
    } finally {
      order.reading = false;
    }
  }

  /** What comes late does not put a step back to where it was. */
  #put({ steps }, step) {
    const known = steps.get(step.name);
    if (known !== undefined && rankOf(step) < rankOf(known)) return;
    const since = step.status === 'running' ? (known?.since ?? performance.now()) : undefined;
    steps.set(step.name, { ...step, since });
  }

  #show({ node, status, error, steps }) {
    const badge = node.querySelector('.status');
    badge.textContent = status ?? '';
    badge.dataset.status = status ?? '';
    node.querySelector('.problem').textContent = status === 'cancelled' ? (error ?? '') : '';
    node.querySelector('.packed').hidden = status !== 'paid';
    node.querySelector('.cancel').hidden = ['shipping', 'shipped', 'cancelled', undefined].includes(status);
    node.querySelector('.retry').hidden = status !== 'cancelled';
    for (const button of node.querySelectorAll('button')) button.disabled = false;
    node.querySelector('.steps').replaceChildren(...[...steps.values()].map((step) => rowOf(step, status)));
  }

  /** The time of what is under way goes on. */
  #tick() {
    for (const { node, steps } of this.#shown.values()) {
      const rows = node.querySelectorAll('.steps > li');
      for (const [i, step] of [...steps.values()].entries()) {
        if (step.since !== undefined && rows[i] !== undefined) {
          rows[i].querySelector('.took').textContent = tookOf(step);
        }
      }
    }
  }
}

/** What waits in an order that is cancelled does so no more. */
function rowOf(step, orderStatus) {
  const isGivenUp = step.status === 'waiting' && orderStatus === 'cancelled';
  const row = one('#order-step').content.cloneNode(true).firstElementChild;
  row.dataset.status = isGivenUp ? 'given-up' : step.status;
  row.querySelector('.name').textContent = labelOf(step.name);
  row.querySelector('.took').textContent = isGivenUp ? 'given up' : tookOf(step);
  const attempts = step.attempts > 1 ? ` ${step.attempts} attempts.` : '';
  row.querySelector('.state').textContent = step.status;
  row.title = `${step.status}.${attempts} ${step.error ?? ''}`.trim();
  row.querySelector('.tries').textContent = step.attempts > 1 ? `× ${step.attempts}` : '';
  return row;
}

/** Later tries come after earlier ones, and the end of a try after its beginning. */
function rankOf({ status, attempts }) {
  return attempts * 2 + (status === 'done' || status === 'error' ? 1 : 0);
}

function tookOf({ status, durationMs, since }) {
  if (since !== undefined) return `${((performance.now() - since) / 1000).toFixed(1)} s …`;
  if (status === 'waiting') return 'waiting';
  if (durationMs === null) return '';
  return durationMs < 1000
    ? `${Math.max(1, Math.round(durationMs))} ms`
    : `${(durationMs / 1000).toFixed(1)} s`;
}

function labelOf(name) {
  if (name.startsWith('undo:')) return `Undo: ${lowerFirst(labelOf(name.slice('undo:'.length)))}`;
  const [, parcel, step] = /^ship\/(.+)\/([^/]+)$/.exec(name) ?? [];
  return parcel === undefined ? (STEPS[name] ?? name) : `Parcel ${parcel}: ${STEPS[step] ?? step}`;
}

function lowerFirst(text) {
  return text.charAt(0).toLowerCase() + text.slice(1);
}

function one(selector) {
  return document.querySelector(selector);
}

function topicOf(id) {
  return `orders.${id}`;
}
