import { Account } from './account.js';
import { Announcements } from './announcements.js';
import { Buying } from './buying.js';
import { CartPast } from './cart-past.js';
import { CartView } from './cart-view.js';
import { Cart } from './cart.js';
import { CheckoutForm } from './checkout.js';
import { Customer } from './customer.js';
import { isInView, one, setText } from './dom.js';
import { Health } from './health.js';
import { Live } from './live.js';
import { say, sayUntilFurtherNotice } from './news.js';
import { Orders } from './orders.js';
import { Products } from './products.js';
import { askAgainNow, onAway } from './requests.js';
import { Sales } from './sales.js';
import { inSentence } from './words.js';

/** What stands at the top, and what is said about it at the bottom until it changes. */
const STATES = {
  live: ['Live', ''],
  deaf: [
    'Not live',
    'What you see may be a few seconds old: the live connection is lost. Buying works all the same.',
  ],
  away: [
    'Away',
    'The shop cannot answer right now. The page tries again by itself; what you have asked for is kept, and happens once.',
  ],
};

let isConnected = false;
let isAway = false;
let isDeaf = false;
let wereTold = true;
let wasLive = false;

const live = new Live(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/ws`, {
  onState(state) {
    isConnected = state === 'live';
    // Who waits for the shop need not wait any longer.
    if (isConnected) askAgainNow();
    void health.check();
    showState();
  },
});
onAway((is) => {
  isAway = is;
  showState();
});

const customer = new Customer();
const account = new Account(customer, { onForget: forget });
const orders = new Orders(live, { onStatus: tellStatus });
const cart = new Cart(live, {
  onChange() {
    cartView.show();
    cartPast.show();
    // Also when it was ordered in another window.
    if (cart.state?.orderId !== undefined) orders.own(cart.state.orderId);
  },
  onProblem: (text) => tellProblem('#cart-problem', text),
});
const cartView = new CartView(cart);
const cartPast = new CartPast(cart);
const checkout = new CheckoutForm({ cart, customer, onOrder: ordered });
const buying = new Buying({
  customer,
  card: () => one('#card').value,
  onOrder: ordered,
  onProblem: (text) => tellProblem('#products-problem', text),
});
const products = new Products(live, {
  async onAdd(id, name) {
    const isAdded = await cart.add(id);
    // On a small screen the cart is far away.
    if (isAdded && !isInView(one('#cart-status'))) say(`${inSentence(name)} is in your cart.`, 'cart');
  },
  onBuy(id) {
    setText(one('#products-problem'), '');
    return buying.buy(id);
  },
});
const sales = new Sales();
const health = new Health({
  onReport({ sells, tells }) {
    if (sells) askAgainNow();
    // Nobody has told what has happened, or will.
    if (sells && !(isConnected && tells && wereTold)) {
      for (const part of [products, cart, orders, account, sales]) void part.refresh();
    }
    isAway = !sells;
    wereTold = isConnected && tells;
    isDeaf = !tells;
    showState();
  },
});

cart.start();
buying.resume();
new Announcements().follow(live);
sales.follow(live);
void products.refresh();
void orders.follow();
void account.refresh();
void health.follow();

function showState() {
  const state = isAway ? 'away' : isConnected && !isDeaf ? 'live' : 'deaf';
  // At first there is nothing to say yet.
  if (!wasLive && state === 'deaf') return;
  const badge = one('#connection');
  if (badge.dataset.state === state) return;
  const isBack = state === 'live' && wasLive;
  wasLive ||= state === 'live';
  badge.dataset.state = state;
  setText(badge, STATES[state][0]);
  sayUntilFurtherNotice(STATES[state][1]);
  if (isBack) say('The shop is back. You see everything as it is now.');
}

/** Also at the bottom, where it would not be seen in its place. */
function tellProblem(place, text) {
  setText(one(place), text);
  if (text !== '' && !isInView(one(place))) say(text, place);
}

/** Somebody else may use this browser now. */
function forget() {
  checkout.fill();
  orders.disown();
  if (cart.state?.status === 'confirmed') cart.startAnew();
}

function ordered(id) {
  orders.own(id);
  void account.refresh();
  say('Your order is placed. Its steps are shown under “Orders”.', id);
}

function tellStatus({ id, isOwn }, status, what) {
  if (!isOwn) return;
  say(`Your order is ${status}. ${what}`, id);
  void account.refresh();
}
