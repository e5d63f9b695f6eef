import { fromTemplate, one, onPress, setText, showList } from './dom.js';
import { count, money, number } from './words.js';

/** What is in the cart now. */
export class CartView {
  #cart;

  constructor(cart) {
    this.#cart = cart;
    onPress(one('#cart-new'), () => {
      cart.startAnew();
      one('#cart-title').focus();
    });
  }

  show() {
    const { id, state } = this.#cart;
    const items = state?.items ?? [];
    const isOpen = state?.status === 'open';
    setText(one('#cart-status'), statusOf(state, items));
    one('#cart-table').hidden = items.length === 0;
    showList(one('#cart-items'), items, {
      key: ({ productId }) => productId,
      create: (item) => this.#row(item),
      update: (row, item) => update(row, item, isOpen),
    });
    setText(one('#cart-total'), money(state?.total ?? 0));
    one('#checkout').hidden = !isOpen || items.length === 0;
    one('#ordered').hidden = state?.status !== 'confirmed';
    one('#ordered-link').href = `#order-${state?.orderId ?? ''}`;
    one('#cart-elsewhere').hidden = id === undefined;
    one('#cart-link').href = `#cart=${encodeURIComponent(id ?? '')}`;
  }

  #row({ productId, name }) {
    const row = fromTemplate('cart-row');
    const actions = {
      more: () => this.#cart.add(productId),
      fewer: () => this.#take(row, productId, 1),
      none: () => this.#take(row, productId),
    };
    for (const [action, act] of Object.entries(actions)) {
      const button = one(`.${action}`, row);
      button.setAttribute('aria-label', `${button.title}: ${name}`);
      button.addEventListener('click', () => void act());
    }
    return row;
  }

  /** Who has pressed a button that goes away with its row goes on in the next one. */
  async #take(row, productId, quantity) {
    const next = row.nextElementSibling ?? row.previousElementSibling;
    const hadFocus = row.contains(document.activeElement);
    await this.#cart.remove(productId, quantity);
    if (!row.isConnected && hadFocus) (next === null ? one('#cart-title') : one('.fewer', next)).focus();
  }
}

function update(row, { name, quantity, unitPrice }, isOpen) {
  setText(one('.name', row), name);
  setText(one('.quantity', row), number(quantity));
  setText(one('.price', row), money(quantity * unitPrice));
  one('.amount', row).dataset.open = String(isOpen);
  for (const button of row.querySelectorAll('button')) button.hidden = !isOpen;
}

function statusOf(state, items) {
  if (state?.status === 'confirmed') return 'This is ordered. What you add now goes into a new cart.';
  if (items.length === 0) return 'Nothing in it yet. Add a product.';
  const pieces = items.reduce((sum, { quantity }) => sum + quantity, 0);
  return `${count(pieces, 'piece')} in it.`;
}
