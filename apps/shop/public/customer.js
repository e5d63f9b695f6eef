import { keep, kept, newId, onKept } from './kept.js';
import { change, read, Refusal } from './requests.js';

const KEPT = 'customer';

/** Who buys: a customer of the shop, whom this browser remembers. */
export class Customer {
  /** `{ id, name, email, isSaved }`, or undefined for nobody yet. */
  get known() {
    return kept(KEPT);
  }

  /** Calls when it was changed, or forgotten, in another window of this browser. */
  onChange(listener) {
    onKept(KEPT, () => listener());
  }

  /**
   * Tells the shop who buys.
   *
   * @returns the id; undefined where the shop keeps no customers, which sells all the same
   * @throws Refusal for a name or an address that the shop does not take
   */
  async save({ name, email }) {
    const id = this.known?.id ?? newId();
    keep(KEPT, { id, name, email });
    try {
      keep(KEPT, { ...(await change('PUT', pathOf(id), { body: { name, email } })), isSaved: true });
    } catch (error) {
      if (error instanceof Refusal && error.status === 404) return undefined;
      throw error;
    }
    return id;
  }

  forget() {
    keep(KEPT, undefined);
  }

  /** The orders, the newest first; undefined where the shop does not know the customer. */
  async orders() {
    if (this.known?.isSaved !== true) return undefined;
    try {
      return (await read(`${pathOf(this.known.id)}/orders`)).orders;
    } catch (error) {
      if (error instanceof Refusal && error.status === 404) return undefined;
      throw error;
    }
  }
}

function pathOf(id) {
  return `customers/${encodeURIComponent(id)}`;
}
