import { one } from './dom.js';
import { keep, kept, onKept } from './kept.js';
import { OrderEntry } from './order-entry.js';
import { reading } from './reading.js';
import { read } from './requests.js';

const MAX_SHOWN = 12;
/** How many orders of one's own are remembered, however many others have ordered since. */
const MAX_OWN = 6;
const KEPT = 'orders';
/** How often the time of what is under way is shown anew, in ms. */
const TICK_MS = 200;

/** The orders as they come in, each with the steps of its checkout. */
export class Orders {
  #live;
  #onStatus;
  /** Entries by id. */
  #shown = new Map();
  #own = new Set(kept(KEPT));
  #refresh = reading(() => this.#load());

  /** `onStatus` is called when an order has come further, with the entry, the status and the order in words. */
  constructor(live, { onStatus }) {
    this.#live = live;
    this.#onStatus = onStatus;
  }

  follow() {
    const refresh = () => void this.#refresh();
    this.#live.join('orders', { onMessage: refresh, onMissed: refresh });
    setInterval(() => {
      for (const entry of this.#shown.values()) entry.tick();
    }, TICK_MS);
    // Another window of this browser has bought something, or is to forget who buys.
    onKept(KEPT, (ids) => this.#ownNow(ids));
    addEventListener('hashchange', () => void this.#revealNamed());
    return this.#refresh().then(() => this.#revealNamed());
  }

  /** Reads what may have changed, for as long as nobody tells. */
  async refresh() {
    await this.#refresh();
    for (const entry of this.#shown.values()) if (entry.isOpen && entry.isUnderWay) void entry.refresh();
  }

  /** Somebody has bought it here. */
  own(id) {
    if (this.#own.has(id)) return;
    const ids = [...(kept(KEPT) ?? []), id].slice(-MAX_OWN);
    keep(KEPT, ids);
    this.#ownNow(ids);
  }

  /** None of them is one's own any more. */
  disown() {
    keep(KEPT, undefined);
    this.#ownNow([]);
  }

  #ownNow(ids = []) {
    const before = this.#own;
    this.#own = new Set(ids);
    for (const [id, entry] of this.#shown) {
      if (!this.#own.has(id)) entry.disown();
      else if (!before.has(id)) entry.becomeOwn();
    }
    void this.#refresh();
  }

  async #load() {
    const { orders } = await read(`orders?limit=${MAX_SHOWN}`);
    for (const order of orders.toReversed()) this.#put(order);
    for (const id of this.#own) if (!this.#shown.has(id)) await this.#fetch(id);
    one('#no-orders').hidden = this.#shown.size > 0;
  }

  /** One that is not among the newest. */
  async #fetch(id) {
    try {
      this.#put(await read(`orders/${encodeURIComponent(id)}`));
    } catch (error) {
      // Of another database, say. Whatever else it was, it is tried again.
      if (error.status !== 404) throw error;
      this.#own.delete(id);
      keep(KEPT, [...this.#own]);
    }
  }

  #put(order) {
    const { id } = order;
    const known = this.#shown.get(id);
    if (known !== undefined) return known.update(order);
    const entry = new OrderEntry(order, { isOwn: this.#own.has(id), onStatus: this.#onStatus });
    this.#shown.set(id, entry);
    const older = [...this.#shown.values()].filter(({ createdAt }) => createdAt < order.createdAt);
    const before = older.reduce((a, b) => (a === undefined || b.createdAt > a.createdAt ? b : a), undefined);
    one('#orders').insertBefore(entry.node, before?.node ?? null);
    this.#live.join(topicOf(id), {
      onMessage: (news) => entry.told(news),
      onMissed: () => void entry.refresh(),
    });
    this.#shrink();
  }

  #shrink() {
    const others = [...this.#shown].filter(([, { isOwn }]) => !isOwn);
    const oldest = others.sort(([, a], [, b]) => (a.createdAt < b.createdAt ? -1 : 1));
    for (const [id, { node }] of oldest.slice(0, Math.max(0, this.#shown.size - MAX_SHOWN))) {
      this.#live.leave(topicOf(id));
      this.#shown.delete(id);
      node.remove();
    }
  }

  /** The one that the address leads to. */
  async #revealNamed() {
    const id = /^#order-(.+)$/.exec(location.hash)?.[1];
    if (id === undefined) return;
    // Where the shop does not answer, nothing is unfolded; that it is away is shown elsewhere.
    if (!this.#shown.has(id)) await this.#fetch(id).catch(() => {});
    this.#shown.get(id)?.reveal();
  }
}

function topicOf(id) {
  return `orders.${id}`;
}
