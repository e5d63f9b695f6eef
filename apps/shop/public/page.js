import { Cart } from './cart.js';
import { Live } from './live.js';
import { Orders } from './orders.js';
import { Sales } from './sales.js';

const MAX_FEED = 12;
const STATES = { live: 'Live', lost: 'Connection lost, trying again …' };

const connection = document.querySelector('#connection');
const rows = new Map();
const money = new Intl.NumberFormat('en', { style: 'currency', currency: 'EUR' });

const live = new Live(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/ws`, {
  onState(state) {
    connection.dataset.state = state;
    connection.textContent = STATES[state];
  },
});

const cart = new Cart(live, { money, newKey, card: chosenCard });
const orders = new Orders(live, { describe });
new Sales({ money }).follow(live);
live.join('announcements', {
  onMessage: (data) => addToFeed('#announcements', typeof data === 'string' ? data : JSON.stringify(data)),
});
document.querySelector('#announce').addEventListener('submit', (event) => void announce(event));
await loadProducts();
// The products first: orders are called by their names.
await orders.follow();

async function loadProducts() {
  const note = document.querySelector('#products-note');
  const response = await fetch('products?limit=40');
  if (!response.ok) {
    note.textContent = 'The products cannot be shown right now. Reload the page in a moment.';
    return;
  }
  const { products } = await response.json();
  note.hidden = products.length > 0;
  note.textContent = 'There are none yet. Load some with: npm run seed';
  document.querySelector('#products-table').hidden = products.length === 0;
  for (const product of products) addProduct(product);
}

function addProduct(product) {
  const row = document.querySelector('#product-row').content.cloneNode(true).firstElementChild;
  row.querySelector('th').textContent = product.name;
  row.querySelector('.price').textContent = money.format(product.price / 100);
  const button = row.querySelector('.buy');
  button.setAttribute('aria-label', `Buy ${product.name}`);
  button.addEventListener('click', () => void buy(product, button));
  const add = row.querySelector('.add');
  add.setAttribute('aria-label', `Add ${product.name} to the cart`);
  add.addEventListener('click', () => void cart.add(product));
  document.querySelector('#products').append(row);
  const entry = { row, name: product.name, version: 0n };
  rows.set(product.id, entry);
  showStock(entry, product.stock);
  live.join(`stock.${product.id}`, {
    onMessage({ stock, version }) {
      if (BigInt(version) <= entry.version) return;
      entry.version = BigInt(version);
      showStock(entry, stock, true);
    },
    onMissed: () => refresh(product.id),
  });
}

async function refresh(id) {
  const response = await fetch(`products/${encodeURIComponent(id)}`, { cache: 'no-store' });
  if (response.ok) showStock(rows.get(id), (await response.json()).stock, true);
}

function showStock({ row }, stock, isNew = false) {
  const cell = row.querySelector('.stock');
  cell.textContent = stock === null ? 'gone' : String(stock);
  cell.dataset.empty = String(!stock);
  for (const button of row.querySelectorAll('button')) button.disabled = !stock;
  if (!isNew) return;
  // Without the reflow in between the animation would not begin anew.
  cell.classList.remove('changed');
  cell.getBoundingClientRect();
  cell.classList.add('changed');
}

async function buy({ id, name }, button) {
  button.disabled = true;
  const response = await fetch('orders', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', 'Idempotency-Key': newKey() },
    body: JSON.stringify({ items: [{ productId: id, quantity: 1 }], card: chosenCard() }),
  });
  button.disabled = false;
  if (!response.ok) orders.say(`${name}: ${(await response.json()).detail}`);
}

/** The token of the card that pays for what is bought here. */
function chosenCard() {
  return document.querySelector('#card').value;
}

/** An order as a sentence. */
function describe({ items, total }) {
  const what = items.map(
    ({ productId, name, quantity }) => `${quantity} × ${name ?? rows.get(productId)?.name ?? productId}`,
  );
  return `${what.join(', ')}: ${money.format(total / 100)}`;
}

async function announce(event) {
  event.preventDefault();
  const { text } = event.target.elements;
  const response = await fetch('broadcast', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ data: text.value }),
  });
  if (response.ok) text.value = '';
}

function addToFeed(selector, text) {
  const item = document.createElement('li');
  item.textContent = text;
  const feed = document.querySelector(selector);
  feed.prepend(item);
  while (feed.children.length > MAX_FEED) feed.lastElementChild.remove();
}

/** `crypto.randomUUID` is there on https and localhost only, and the page may be looked at from elsewhere. */
function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) =>
    byte.toString(16).padStart(2, '0'),
  ).join('');
}
