import { fromTemplate, one, onPress, setText } from './dom.js';
import { OrderSteps } from './order-steps.js';
import { reading } from './reading.js';
import { change, changeOnce, read, Refusal } from './requests.js';
import { listOf, money } from './words.js';

/** How far an order has come. */
const WAY = ['placed', 'reserved', 'paid', 'packed', 'shipping', 'shipped'];
const HINTS = {
  paid: 'It is paid and waits to be packed. Nobody else works here: say that it is, and it is shipped.',
  cancelled: 'It is cancelled: what was taken from the stock is back, and so is the money.',
};

/** One order in the list; while it is open, with the steps of its checkout. */
export class OrderEntry {
  id;
  node = fromTemplate('order-entry');
  /** ISO 8601. */
  createdAt;
  #path;
  #what;
  #isOwn;
  #status;
  #steps;
  #onStatus;
  #read = reading(() => this.#load());

  /** `onStatus` is called when the order has come further while somebody looks. */
  constructor(order, { isOwn, onStatus }) {
    this.id = order.id;
    this.#path = `orders/${encodeURIComponent(order.id)}`;
    this.#what = `${listOf(order.items)}: ${money(order.total)}`;
    this.#onStatus = onStatus;
    this.createdAt = order.createdAt;
    this.node.id = `order-${order.id}`;
    this.#steps = new OrderSteps(one('.steps', this.node));
    setText(one('.what', this.node), this.#what);
    this.#details.addEventListener('toggle', () => {
      if (this.isOpen) void this.#read();
    });
    const actions = {
      packed: () => change('POST', `${this.#path}/packed`),
      cancel: () => change('POST', `${this.#path}/cancel`),
      retry: () => this.#retry(),
    };
    for (const [name, action] of Object.entries(actions)) {
      const button = one(`.${name}`, this.node);
      button.setAttribute('aria-label', `${button.textContent}: ${this.#what}`);
      onPress(button, () => this.#ask(action));
    }
    if (isOwn) this.becomeOwn();
    if (order.status !== undefined) this.#setStatus(order.status);
  }

  get isOpen() {
    return this.#details.open;
  }

  get isOwn() {
    return this.#isOwn === true;
  }

  get isUnderWay() {
    return this.#status !== 'shipped' && this.#status !== 'cancelled';
  }

  /** What somebody has bought here is open, so that it can be followed. */
  becomeOwn() {
    this.#isOwn = true;
    one('.own', this.node).hidden = false;
    this.#details.open = true;
  }

  disown() {
    this.#isOwn = false;
    one('.own', this.node).hidden = true;
  }

  /** Shows it to somebody who has asked for it. */
  reveal() {
    this.#details.open = true;
    one('summary', this.node).focus();
    this.node.scrollIntoView({ block: 'nearest' });
  }

  /** News from the hub: steps, or an event, or that the checkout has ended or waits. */
  told({ steps = [], end, event }) {
    // Tried again by somebody, it begins anew.
    if (event?.type === 'StockReserved' && this.#status === 'cancelled') this.#steps.clear();
    for (const step of steps) this.#steps.put(step);
    this.#steps.show(this.#status);
    if (end !== undefined || event !== undefined) void this.#read();
  }

  refresh() {
    return this.#read();
  }

  /** @param status as it was read with others */
  update({ status }) {
    if (!this.isOpen) this.#setStatus(status);
  }

  tick() {
    if (this.isOpen) this.#steps.tick();
  }

  get #details() {
    return one('details', this.node);
  }

  async #retry() {
    await changeOnce('POST', `${this.#path}/retry`);
    this.#steps.clear();
  }

  async #ask(action) {
    setText(one('.refusal', this.node), '');
    const hadFocus = one('.actions', this.node).contains(document.activeElement);
    try {
      await action();
    } catch (error) {
      const refusal = error instanceof Refusal ? error.message : 'The shop has not answered. Try again.';
      setText(one('.refusal', this.node), refusal);
    }
    await this.#read();
    // The button may have gone.
    if (hadFocus && document.activeElement === document.body) one('summary', this.node).focus();
  }

  async #load() {
    const { status, error, steps } = await read(`${this.#path}/steps`);
    for (const step of steps) this.#steps.put(step);
    this.#setStatus(status, error);
  }

  #setStatus(status, error) {
    const before = this.#status;
    this.#status = status;
    const badge = one('.status', this.node);
    setText(badge, status);
    badge.dataset.status = status;
    one('progress', this.node).value = WAY.indexOf(status) + 1;
    one('progress', this.node).hidden = status === 'cancelled';
    setText(one('.reason', this.node), status === 'cancelled' ? (error ?? '') : '');
    setText(one('.hint', this.node), HINTS[status] ?? '');
    const { activeElement } = document;
    one('.packed', this.node).hidden = status !== 'paid';
    one('.cancel', this.node).hidden = !['placed', 'reserved', 'paid', 'packed'].includes(status);
    one('.retry', this.node).hidden = status !== 'cancelled';
    if (this.node.contains(activeElement) && activeElement.hidden) one('summary', this.node).focus();
    this.#steps.show(status);
    if (before !== undefined && before !== status) this.#onStatus(this, status, this.#what);
  }
}
