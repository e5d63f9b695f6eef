import {
  fromTemplate,
  isDisabled,
  light,
  one,
  onPress,
  onSinglePress,
  setDisabled,
  setText,
  showList,
} from './dom.js';
import { reading } from './reading.js';
import { readPatiently } from './requests.js';
import { count, money, number } from './words.js';

const PAGE_SIZE = 12;
/** How long somebody may pause between two letters. */
const TYPING_MS = 200;

/** The catalogue, page by page, with the stock as it is. */
export class Products {
  #live;
  #onAdd;
  #onBuy;
  #prefix = '';
  /** Where each page begins, up to the one that is shown; the first one has no cursor. */
  #cursors = [''];
  #next = null;
  /** The ids of what is shown. */
  #shown = new Set();
  /** Ends a question whose answer nobody waits for any more. */
  #asking = new AbortController();
  #refresh = reading(() => this.#load());

  constructor(live, { onAdd, onBuy }) {
    this.#live = live;
    this.#onAdd = onAdd;
    this.#onBuy = onBuy;
    let timer;
    one('#find').addEventListener('input', ({ target }) => {
      clearTimeout(timer);
      timer = setTimeout(() => this.#find(target.value), TYPING_MS);
    });
    one('#find-form').addEventListener('submit', (event) => {
      event.preventDefault();
      clearTimeout(timer);
      this.#find(one('#find').value);
    });
    onPress(one('#page-before'), () => this.#turn(this.#cursors.slice(0, -1)));
    onPress(one('#page-after'), () => this.#turn([...this.#cursors, this.#next]));
  }

  refresh() {
    return this.#refresh();
  }

  /** Ids are lower case, with dashes. */
  #find(text) {
    const prefix = text.trim().toLowerCase().replaceAll(/\s+/g, '-');
    if (prefix === this.#prefix) return;
    this.#prefix = prefix;
    void this.#turn(['']);
  }

  #turn(cursors) {
    this.#cursors = cursors;
    this.#asking.abort();
    this.#asking = new AbortController();
    return this.#refresh();
  }

  async #load() {
    const query = new URLSearchParams({ prefix: this.#prefix, limit: String(PAGE_SIZE) });
    const cursor = this.#cursors.at(-1);
    if (cursor !== '') query.set('cursor', cursor);
    const answer = await readPatiently(`products?${query}`, { signal: this.#asking.signal });
    this.#next = answer.cursor;
    this.#show(answer.products);
  }

  #show(products) {
    const wanted = new Set(products.map(({ id }) => id));
    for (const id of this.#shown) {
      if (wanted.has(id)) continue;
      this.#live.leave(topicOf(id));
      this.#shown.delete(id);
    }
    showList(one('#products'), products, {
      key: ({ id }) => id,
      create: (product) => this.#row(product),
      update: (row, product) => this.#update(row, product),
    });
    const page = this.#cursors.length;
    setText(one('#page'), `Page ${page}`);
    setDisabled(one('#page-before'), page === 1);
    setDisabled(one('#page-after'), this.#next === null);
    this.#summarise(products.length);
    // Only when all are there: what is bought meanwhile is told, or read once more.
    for (const { id } of products) if (!this.#shown.has(id)) this.#follow(id);
  }

  /** For those who listen; where there are none, for everybody. */
  #summarise(found) {
    const none =
      this.#prefix === ''
        ? 'There are none yet. Load some with: npm run seed'
        : `There is none whose id begins with “${this.#prefix}”.`;
    setText(one('#found'), found > 0 ? `${count(found, 'product')} on page ${this.#cursors.length}` : none);
    one('#found').classList.toggle('unseen', found > 0);
    one('#products-table').hidden = found === 0;
    one('.shelf').dataset.searched = String(this.#prefix !== '');
  }

  #row({ id }) {
    const row = fromTemplate('product-row');
    const add = one('.add', row);
    add.addEventListener('click', () => {
      if (!isDisabled(add)) void this.#onAdd(id, one('.name', row).textContent);
    });
    onSinglePress(one('.buy', row), () => this.#onBuy(id));
    return row;
  }

  #update(row, { name, description, price, stock }) {
    one('.add', row).setAttribute('aria-label', `Add ${name} to the cart`);
    one('.buy', row).setAttribute('aria-label', `Buy ${name} now`);
    setText(one('.name', row), name);
    setText(one('.about', row), description ?? '');
    setText(one('.price', row), money(price));
    this.#showStock(row, stock);
  }

  #follow(id) {
    let newest = 0n;
    this.#shown.add(id);
    this.#live.join(topicOf(id), {
      onMessage: ({ stock, price, version }) => {
        if (BigInt(version) <= newest) return;
        newest = BigInt(version);
        const row = [...one('#products').children].find(({ dataset }) => dataset.key === id);
        if (row === undefined) return;
        if (price !== null) setText(one('.price', row), money(price));
        this.#showStock(row, stock);
      },
      onMissed: () => void this.#refresh(),
    });
  }

  /** @param stock null when the product is gone */
  #showStock(row, stock) {
    const cell = one('.stock', row);
    const text = stock === null ? 'gone' : stock === 0 ? 'sold out' : `${number(stock)} left`;
    if (cell.textContent === text) return;
    const isNew = cell.textContent !== '';
    setText(cell, text);
    cell.dataset.empty = String(!stock);
    for (const button of row.querySelectorAll('button')) setDisabled(button, !stock);
    if (isNew) light(cell);
  }
}

function topicOf(id) {
  return `stock.${id}`;
}
