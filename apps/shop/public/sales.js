import { fromTemplate, one, setText, showList } from './dom.js';
import { reading } from './reading.js';
import { read } from './requests.js';
import { money, number } from './words.js';

/** How many products are read, and how many of them are shown. */
const READ = 500;
const SHOWN = 10;

/**
 * What was sold, by product: as the shop has added it up, and the sales that it has not counted yet on top of it. The
 * position of a sale tells which they are, so that each counts once however it comes to be known.
 */
export class Sales {
  /** As the shop has added it up; undefined until it was read. */
  #counted;
  /** Whether there are more than were read. */
  #hasMore = false;
  /** Sales that the hub told of, by position. */
  #told = new Map();
  #refresh = reading(() => this.#load());

  follow(live) {
    live.join('sales', { onMessage: (sale) => this.#sold(sale), onMissed: () => void this.#refresh() });
    void this.#refresh();
  }

  refresh() {
    return this.#refresh();
  }

  async #load() {
    const { products, cursor } = await read(`sales?limit=${READ}`);
    this.#counted = new Map(products.map((product) => [product.productId, product]));
    this.#hasMore = cursor !== null;
    for (const [position, sale] of this.#told) if (!this.#isNew(sale)) this.#told.delete(position);
    this.#show();
  }

  #sold(sale) {
    this.#told.set(sale.position, sale);
    if (this.#told.size % READ === 0) void this.#refresh();
    this.#show();
  }

  #isNew({ productId, position }) {
    const product = this.#counted.get(productId);
    return product === undefined ? !this.#hasMore : BigInt(position) > BigInt(product.position);
  }

  #show() {
    if (this.#counted === undefined) return;
    const sums = new Map(this.#counted);
    for (const sale of this.#told.values()) {
      if (!this.#isNew(sale)) continue;
      const { name, quantity, revenue } = sums.get(sale.productId) ?? { quantity: 0, revenue: 0 };
      sums.set(sale.productId, {
        productId: sale.productId,
        name: name ?? sale.name,
        quantity: quantity + sale.quantity,
        revenue: revenue + sale.quantity * sale.unitPrice,
      });
    }
    const products = [...sums.values()].sort((a, b) => b.revenue - a.revenue).slice(0, SHOWN);
    one('#no-sales').hidden = products.length > 0;
    one('#sales-table').hidden = products.length === 0;
    showList(one('#sales'), products, {
      key: ({ productId }) => productId,
      create: () => fromTemplate('sales-row'),
      update: (row, { name, quantity, revenue }) => {
        setText(one('.name', row), name);
        setText(one('.quantity', row), number(quantity));
        setText(one('.revenue', row), money(revenue));
      },
    });
  }
}
