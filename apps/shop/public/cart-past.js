import { fromTemplate, one, setText, showList } from './dom.js';
import { count, listOf, money, timeOf } from './words.js';

/** What has happened to the cart, and what was in it after each event. */
export class CartPast {
  #cart;
  /** Of which cart the others tell. */
  #id;
  /** The version that is looked at; undefined to follow the newest. */
  #version;
  /** What was in it, by version: that does not change any more. */
  #states = new Map();

  constructor(cart) {
    this.#cart = cart;
    one('#cart-version').addEventListener('input', ({ target }) => this.#lookAt(Number(target.value)));
  }

  show() {
    const { id, events } = this.#cart;
    if (id !== this.#id) {
      this.#id = id;
      this.#version = undefined;
      this.#states.clear();
    }
    one('#cart-past').hidden = events.length === 0;
    if (events.length === 0) return;
    const newest = events.length;
    const version = this.#version ?? newest;
    const range = one('#cart-version');
    range.max = String(newest);
    range.value = String(version);
    range.setAttribute('aria-valuetext', `Version ${version}: ${this.#sentence(events[version - 1])}`);
    setText(one('#cart-version-label'), `Version ${version} of ${newest}`);
    showList(one('#cart-history'), events.toReversed(), {
      key: (event) => event.version,
      create: (event) => this.#entry(event),
      update: (entry, event) =>
        one('button', entry).setAttribute('aria-current', event.version === version ? 'step' : 'false'),
    });
    void this.#showState(version);
  }

  #lookAt(version) {
    this.#version = version === this.#cart.events.length ? undefined : version;
    this.show();
  }

  async #showState(version) {
    const id = this.#id;
    if (!this.#states.has(version)) {
      // Where the shop is away, it is read when somebody looks again.
      const state = await this.#cart.at(version).catch(() => undefined);
      if (state === undefined || id !== this.#id) return;
      this.#states.set(version, state);
    }
    if (version !== (this.#version ?? this.#cart.events.length)) return;
    const { items, total, status } = this.#states.get(version);
    const then = version === this.#cart.events.length ? 'now' : `after ${count(version, 'event')}`;
    setText(one('#cart-then'), `In the cart ${then}: ${items.length === 0 ? 'nothing' : money(total)}`);
    one('#cart-then').dataset.status = status;
    showList(one('#cart-then-items'), items, {
      key: ({ productId }) => productId,
      create: () => document.createElement('li'),
      update: (row, item) => setText(row, `${listOf([item])}: ${money(item.quantity * item.unitPrice)}`),
    });
  }

  #entry(event) {
    const entry = fromTemplate('cart-event');
    const button = one('button', entry);
    setText(one('.version', button), `${event.version}.`);
    setText(one('.what', button), this.#sentence(event));
    button.addEventListener('click', () => this.#lookAt(event.version));
    const time = one('time', entry);
    time.dateTime = event.at;
    setText(time, timeOf(event.at));
    return entry;
  }

  #sentence({ type, data }) {
    switch (type) {
      case 'ShoppingCartOpened':
        return 'Opened';
      case 'ProductItemAdded':
        return `${listOf([data])} added`;
      case 'ProductItemRemoved':
        return `${listOf([{ ...data, name: this.#nameOf(data.productId) ?? data.productId }])} removed`;
      case 'ShoppingCartConfirmed':
        return 'Ordered';
      default:
        return type;
    }
  }

  /** As it was called when it was added. */
  #nameOf(productId) {
    const isIt = ({ data }) => data.name !== undefined && data.productId === productId;
    return this.#cart.events.findLast(isIt)?.data.name;
  }
}
