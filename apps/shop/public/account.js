import { fromTemplate, one, onPress, setText, showList } from './dom.js';
import { reading } from './reading.js';
import { count, listOf, money, timeOf } from './words.js';

/** Who buys here, and all that was bought. */
export class Account {
  #customer;
  #refresh = reading(() => this.#load());

  /** `onForget` is called when this browser is to forget who buys. */
  constructor(customer, { onForget }) {
    this.#customer = customer;
    customer.onChange(() => void this.#refresh());
    onPress(one('#account-forget'), () => {
      customer.forget();
      this.#show(undefined);
      one('#account-title').focus();
      onForget();
    });
  }

  refresh() {
    return this.#refresh();
  }

  async #load() {
    const { known } = this.#customer;
    this.#show(known, await this.#customer.orders());
  }

  #show(known, orders) {
    const isKnown = known !== undefined && orders !== undefined;
    one('#account-forget').hidden = known === undefined;
    one('#account-table').hidden = !isKnown || orders.length === 0;
    setText(one('#account-who'), isKnown ? `${known.name}, ${known.email}` : '');
    setText(one('#account-note'), noteOf(known, orders));
    showList(one('#account-orders'), orders ?? [], {
      key: ({ id }) => id,
      create: () => fromTemplate('account-row'),
      update: (row, { id, items, total, status, createdAt }) => {
        setText(one('a', row), listOf(items));
        one('a', row).href = `#order-${id}`;
        one('time', row).dateTime = createdAt;
        setText(one('time', row), timeOf(createdAt));
        setText(one('.status', row), status);
        one('.status', row).dataset.status = status;
        setText(one('.total', row), money(total));
      },
    });
  }
}

function noteOf(known, orders) {
  if (known === undefined || orders === undefined)
    return 'You get one when you check out. There is no log-in: it stays in this browser.';
  const spent = orders
    .filter(({ status }) => status !== 'cancelled')
    .reduce((sum, { total }) => sum + total, 0);
  return orders.length === 0 ? 'No order yet.' : `${count(orders.length, 'order')}, ${money(spent)} in all.`;
}
