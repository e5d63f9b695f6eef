import { keep, kept, newId } from './kept.js';
import { change, Refusal } from './requests.js';

const KEPT = 'buying';

/**
 * Orders one piece without a cart. An order that the shop has not answered is kept with its key, so that it is asked for
 * again after a reload too, and still placed once.
 */
export class Buying {
  #customer;
  #card;
  #onOrder;
  #onProblem;

  /** `card` gives the token of the card that pays. */
  constructor({ customer, card, onOrder, onProblem }) {
    this.#customer = customer;
    this.#card = card;
    this.#onOrder = onOrder;
    this.#onProblem = onProblem;
  }

  /** Goes on with what was not answered at the last visit. */
  resume() {
    for (const [key, body] of Object.entries(kept(KEPT) ?? {})) void this.#place(key, body);
  }

  async buy(productId) {
    const key = newId();
    const body = { items: [{ productId, quantity: 1 }], card: this.#card() };
    const { known } = this.#customer;
    if (known !== undefined) {
      const customerId = await this.#customer.save(known).catch(() => undefined);
      if (customerId !== undefined) body.customerId = customerId;
    }
    keep(KEPT, { ...kept(KEPT), [key]: body });
    await this.#place(key, body);
  }

  async #place(key, body) {
    try {
      const { id } = await change('POST', 'orders', { body, key });
      this.#onOrder(id);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.#onProblem(error.message);
    }
    const { [key]: _done, ...rest } = kept(KEPT) ?? {};
    keep(KEPT, rest);
  }
}
