const KEPT = 'nestbox-shop-cart';

/**
 * The cart of this browser: what is in it, all that has happened to it, and what was in it after each event. Another
 * window that shows the same cart (`#cart=<id>`) follows it live.
 */
export class Cart {
  #live;
  #money;
  #newKey;
  #card;
  #id;
  /** Its events, oldest first; the version of each is its place. */
  #history = [];
  /** The version that is looked at; undefined to follow the newest. */
  #looksAt;
  /** What changes the view happens one after the other, so that a late answer does not overwrite a newer one. */
  #turn = Promise.resolve();

  /** `newKey` gives texts for `Idempotency-Key`, `card` the token of the card that pays. */
  constructor(live, { money, newKey, card }) {
    this.#live = live;
    this.#money = money;
    this.#newKey = newKey;
    this.#card = card;
    one('#cart-version').addEventListener('input', ({ target }) => void this.#lookAt(Number(target.value)));
    one('#cart-confirm').addEventListener('click', () => void this.#confirm());
    one('#cart-new').addEventListener('click', () => void this.#follow(undefined));
    addEventListener('hashchange', () => void this.#follow(idInAddress() ?? this.#id));
    void this.#follow(idInAddress() ?? localStorage.getItem(KEPT) ?? undefined);
  }

  /** Opens a cart where there is none that could be added to. */
  async add({ id: productId }) {
    if (this.#id === undefined || this.#history.at(-1)?.type === 'ShoppingCartConfirmed') {
      const opened = await fetch('carts', { method: 'POST' });
      if (!opened.ok) return this.#say(opened);
      await this.#follow((await opened.json()).id);
    }
    return this.#send('POST', 'items', { productId, quantity: 1 });
  }

  #confirm() {
    return this.#send('POST', 'confirm', { card: this.#card() });
  }

  async #send(method, path, body) {
    const headers = { 'Content-Type': 'application/json', 'Idempotency-Key': this.#newKey() };
    const request = { method, headers, body: JSON.stringify(body) };
    const response = await fetch(this.#path(path), request);
    await this.#say(response);
    // The news of it come over the hub; without a connection this is how it is seen.
    if (response.ok) await this.#refresh();
  }

  /** Shows another cart, or none. */
  async #follow(id) {
    if (this.#id !== undefined) this.#live.leave(topicOf(this.#id));
    this.#id = id;
    this.#history = [];
    this.#looksAt = undefined;
    one('#cart-problem').textContent = '';
    one('#cart-history').replaceChildren();
    // For the next visit, and to be opened in another window.
    history.replaceState(null, '', id === undefined ? location.pathname : `#cart=${encodeURIComponent(id)}`);
    if (id === undefined) localStorage.removeItem(KEPT);
    else {
      localStorage.setItem(KEPT, id);
      this.#live.join(topicOf(id), {
        onMessage: (event) => void this.#happened(event),
        onMissed: () => void this.#refresh(),
      });
    }
    await this.#refresh();
  }

  /** An event that the hub tells of. It may be known already; if it does not come next, others were missed. */
  #happened({ id, ...event }) {
    if (id !== this.#id || event.version <= this.#history.length) return undefined;
    if (event.version > this.#history.length + 1) return this.#refresh();
    this.#history.push(event);
    return this.#inTurn(() => this.#load());
  }

  /** Reads what has happened meanwhile. */
  #refresh() {
    const id = this.#id;
    return this.#inTurn(async () => {
      if (id !== this.#id) return;
      if (id === undefined) return this.#show(undefined);
      let hasMore;
      do {
        const after = this.#history.length;
        const response = await fetch(this.#path(`history?after=${after}`), { cache: 'no-store' });
        // A cart of another database, say.
        if (response.status === 404 && id === this.#id) return void this.#follow(undefined);
        if (!response.ok) return this.#say(response);
        const { events, version } = await response.json();
        if (id !== this.#id) return;
        this.#history.push(...events.filter((event) => event.version > this.#history.length));
        hasMore = events.length > 0 && this.#history.length < version;
      } while (hasMore);
      await this.#load();
    });
  }

  /** @param version the newest one goes on changing */
  #lookAt(version) {
    this.#looksAt = version === this.#history.length ? undefined : version;
    return this.#inTurn(() => this.#load());
  }

  #inTurn(change) {
    // One that fails, without a connection say, is not to be the last.
    this.#turn = this.#turn.then(change).catch((error) => {
      one('#cart-problem').textContent = `The cart cannot be shown: ${error.message}`;
    });
    return this.#turn;
  }

  async #load() {
    const id = this.#id;
    const version = this.#looksAt;
    if (id === undefined) return;
    const response = await fetch(this.#path(version === undefined ? '' : `?version=${version}`));
    if (!response.ok) return this.#say(response);
    const cart = await response.json();
    // Meanwhile another one may have been asked for, whose turn is next.
    if (id === this.#id && version === this.#looksAt) this.#show(cart);
  }

  #show(cart) {
    const newest = this.#history.length;
    const isOld = cart !== undefined && this.#looksAt !== undefined;
    const isOpen = cart?.status === 'open' && !isOld;
    one('#cart-items').replaceChildren(...(cart?.items ?? []).map((item) => this.#row(item, isOpen)));
    one('#cart-total').textContent = this.#money.format((cart?.total ?? 0) / 100);
    one('#cart-status').textContent = statusOf(cart, isOld);
    one('#cart-confirm').disabled = !isOpen || cart.items.length === 0;
    one('#cart-new').disabled = cart === undefined;
    one('#cart-past').hidden = newest < 2;
    const range = one('#cart-version');
    range.max = String(newest);
    range.value = String(this.#looksAt ?? newest);
    one('#cart-version-label').textContent = `Version ${range.value} of ${newest}`;
    const list = one('#cart-history');
    for (const event of this.#history.slice(list.children.length)) list.prepend(this.#entry(event));
    for (const [i, entry] of [...list.children].entries()) {
      entry.querySelector('button').setAttribute('aria-current', String(newest - i === cart.version));
    }
  }

  #row({ productId, name, quantity, unitPrice }, isOpen) {
    const row = one('#cart-row').content.cloneNode(true).firstElementChild;
    row.querySelector('th').textContent = name;
    row.querySelector('.quantity').textContent = String(quantity);
    row.querySelector('.price').textContent = this.#money.format((quantity * unitPrice) / 100);
    const button = row.querySelector('button');
    button.setAttribute('aria-label', `Remove one ${name}`);
    button.disabled = !isOpen;
    const path = `items/${encodeURIComponent(productId)}?quantity=1`;
    button.addEventListener('click', () => void this.#send('DELETE', path));
    return row;
  }

  #entry(event) {
    const entry = one('#cart-event').content.cloneNode(true).firstElementChild;
    const button = entry.querySelector('button');
    button.textContent = `${event.version}. ${this.#sentence(event)}`;
    button.addEventListener('click', () => void this.#lookAt(event.version));
    const time = entry.querySelector('time');
    time.dateTime = event.at;
    time.textContent = new Date(event.at).toLocaleTimeString();
    return entry;
  }

  #sentence({ type, data }) {
    switch (type) {
      case 'ShoppingCartOpened':
        return 'Opened';
      case 'ProductItemAdded':
        return `${data.quantity} × ${data.name} added`;
      case 'ProductItemRemoved':
        return `${data.quantity} × ${this.#nameOf(data.productId)} removed`;
      case 'ShoppingCartConfirmed':
        return 'Confirmed';
      default:
        return type;
    }
  }

  /** As it was called when it was added. */
  #nameOf(productId) {
    return this.#history.findLast(({ data }) => data.name !== undefined && data.productId === productId)?.data
      .name;
  }

  /** What is wrong, or nothing any more. */
  async #say(response) {
    one('#cart-problem').textContent = response.ok
      ? ''
      : ((await response.json()).detail ?? response.statusText);
  }

  #path(rest) {
    const separator = rest === '' || rest.startsWith('?') ? '' : '/';
    return `carts/${encodeURIComponent(this.#id)}${separator}${rest}`;
  }
}

function one(selector) {
  return document.querySelector(selector);
}

function topicOf(id) {
  return `carts.${id}`;
}

function idInAddress() {
  return new URLSearchParams(location.hash.slice(1)).get('cart') ?? undefined;
}

function statusOf(cart, isOld) {
  if (cart === undefined) return 'Nothing in it yet. Add a product.';
  if (isOld) return `As it was after ${cart.version === 1 ? 'its first event' : `${cart.version} events`}.`;
  if (cart.status === 'confirmed') return `Confirmed: order ${cart.orderId}.`;
  return cart.items.length === 0 ? 'Empty.' : 'Open.';
}
