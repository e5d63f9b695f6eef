import { keep, kept, newId, onKept } from './kept.js';
import { reading } from './reading.js';
import { change, read, Refusal } from './requests.js';

const KEPT = 'cart';

/**
 * The cart of this browser: what is in it, and all that has happened to it. Every window that shows the same cart
 * follows it live; `#cart=<id>` in the address shows another one.
 */
export class Cart {
  #live;
  #onChange;
  #onProblem;
  #id;
  /** As it is; undefined for none. */
  #state;
  /** Its events, oldest first; the version of each is its place. */
  #events = [];
  /** Changes are asked for one after the other, in the order in which somebody wanted them. */
  #last = Promise.resolve();
  #refresh = reading(() => this.#load());

  /** `onChange` is called whenever there is something new to show; `onProblem` with what is wrong, or with ''. */
  constructor(live, { onChange, onProblem }) {
    this.#live = live;
    this.#onChange = onChange;
    this.#onProblem = onProblem;
  }

  /** Shows the one that the address names, else the one of the last visit. */
  start() {
    addEventListener('hashchange', () => this.#lookAt(idInAddress() ?? kept(KEPT)));
    // Another window has begun a new one, or confirmed this one and goes on.
    onKept(KEPT, (id) => {
      if (idInAddress() === undefined) this.#lookAt(id);
    });
    this.#lookAt(idInAddress() ?? kept(KEPT));
  }

  get id() {
    return this.#id;
  }

  get state() {
    return this.#state;
  }

  get events() {
    return this.#events;
  }

  refresh() {
    return this.#refresh();
  }

  /** Opens a cart where there is none that could be added to. @returns whether it was added */
  add(productId) {
    return this.#inTurn(async () => {
      await this.#openOne();
      await this.#change('POST', 'items', { productId, quantity: 1 });
    });
  }

  /** @param quantity undefined for all of them */
  remove(productId, quantity) {
    const rest = quantity === undefined ? '' : `?quantity=${quantity}`;
    return this.#inTurn(() => this.#change('DELETE', `items/${encodeURIComponent(productId)}${rest}`));
  }

  /** @throws Refusal, which is for whoever checks out to show */
  async confirm(body) {
    await this.#last;
    const state = await change('POST', this.#path('confirm'), { body });
    this.#accept(state);
    return state;
  }

  startAnew() {
    keep(KEPT, undefined);
    this.#onProblem('');
    this.#lookAt(undefined);
  }

  /** What was in it after one of its events. */
  at(version) {
    return read(this.#path(`?version=${version}`));
  }

  /** @returns whether it was done */
  #inTurn(what) {
    this.#onProblem('');
    this.#last = this.#last.then(() => this.#attempt(what));
    return this.#last;
  }

  async #attempt(what) {
    const id = this.#id;
    try {
      await what();
      return true;
    } catch (error) {
      if (error instanceof Refusal) this.#onProblem(error.message);
      else reportError(error);
      // It may be of another database, or be changed by somebody else.
      if (id === this.#id) void this.#refresh();
      return false;
    }
  }

  async #openOne() {
    if (this.#id !== undefined && this.#state === undefined) await this.#refresh();
    if (this.#state?.status === 'open') return;
    const own = kept(KEPT);
    if (own !== undefined && own !== this.#id) {
      this.#lookAt(own);
      await this.#refresh();
      if (this.#state?.status === 'open') return;
    }
    const id = newId();
    const state = await change('PUT', `carts/${id}`);
    keep(KEPT, id);
    this.#lookAt(id);
    this.#accept(state);
  }

  async #change(method, rest, body) {
    this.#accept(await change(method, this.#path(rest), { body, key: newId() }));
  }

  /** Shows what the shop has answered at once; what has happened is read behind it. */
  #accept(state) {
    if (state.id !== this.#id) return;
    if (state.version >= (this.#state?.version ?? 0)) this.#state = state;
    this.#onChange();
    void this.#refresh();
  }

  #lookAt(id) {
    if (id === this.#id) return;
    if (this.#id !== undefined) this.#live.leave(topicOf(this.#id));
    if (idInAddress() !== undefined && idInAddress() !== id)
      history.replaceState(null, '', location.pathname);
    this.#id = id;
    this.#state = undefined;
    this.#events = [];
    this.#onChange();
    if (id === undefined) return;
    if (kept(KEPT) === undefined) keep(KEPT, id);
    this.#live.join(topicOf(id), {
      onMessage: ({ version }) => {
        if (version > this.#events.length) void this.#refresh();
      },
      onMissed: () => void this.#refresh(),
    });
    void this.#refresh();
  }

  async #load() {
    const id = this.#id;
    if (id === undefined) return;
    try {
      const events = await this.#newEvents();
      const state = await read(this.#path(''));
      if (id !== this.#id) return;
      this.#events.push(...events.filter(({ version }) => version > this.#events.length));
      if (state.version >= (this.#state?.version ?? 0)) this.#state = state;
      this.#onChange();
    } catch (error) {
      if (!(error instanceof Refusal) || error.status !== 404 || id !== this.#id) throw error;
      if (kept(KEPT) === id) keep(KEPT, undefined);
      else this.#onProblem(error.message);
      this.#lookAt(undefined);
    }
  }

  async #newEvents() {
    const all = [];
    for (;;) {
      const after = this.#events.length + all.length;
      const { events, version } = await read(this.#path(`history?after=${after}`));
      all.push(...events);
      if (events.length === 0 || after + events.length >= version) return all;
    }
  }

  #path(rest) {
    const separator = rest === '' || rest.startsWith('?') ? '' : '/';
    return `carts/${encodeURIComponent(this.#id)}${separator}${rest}`;
  }
}

function topicOf(id) {
  return `carts.${id}`;
}

function idInAddress() {
  return new URLSearchParams(location.hash.slice(1)).get('cart') ?? undefined;
}
