const euros = new Intl.NumberFormat('en', { style: 'currency', currency: 'EUR' });
const numbers = new Intl.NumberFormat('en');
const clock = new Intl.DateTimeFormat('en', { timeStyle: 'medium' });
const calendar = new Intl.DateTimeFormat('en', { dateStyle: 'medium', timeStyle: 'short' });
/** Signs that turn the direction of what is written behind them. */
const TURNS = /[\u202A-\u202E\u2066-\u2069]/gu;
/** Text from right to left: Hebrew, Arabic and their like. */
const LEFTWARD = /[\u0590-\u08FF\uFB1D-\uFDFF\uFE70-\uFEFC]/u;

/** What people call the steps of a checkout; those of a parcel come with its number in front. */
const STEPS = {
  reserve: 'Reserve the stock',
  'open payment': 'Open a payment',
  charge: 'Charge the card',
  'record payment': 'Note the payment',
  packed: 'Wait until it is packed',
  pack: 'Note that it is packed',
  'hand over': 'Hand over to the carrier',
  collect: 'have it collected',
  record: 'note it',
  finish: 'Close the order',
};

export function money(cents) {
  return euros.format(cents / 100);
}

export function number(value) {
  return numbers.format(value);
}

/** Where somebody is: the time, and the day too unless it is today. @param at ISO 8601 */
export function timeOf(at) {
  const date = new Date(at);
  return (date.toDateString() === new Date().toDateString() ? clock : calendar).format(date);
}

/** A name for the middle of a sentence, which keeps its direction to itself. */
export function inSentence(name) {
  const plain = name.replaceAll(TURNS, '');
  return LEFTWARD.test(plain) ? `\u2068${plain}\u2069` : plain;
}

export function duration(ms) {
  return ms < 1000 ? `${Math.max(1, Math.round(ms))} ms` : `${(ms / 1000).toFixed(1)} s`;
}

export function count(value, one, many = `${one}s`) {
  return `${number(value)} ${value === 1 ? one : many}`;
}

/** What is in an order or a cart, such as `2 × Mug, 1 × Pen`. */
export function listOf(items) {
  return items.map(({ name, quantity }) => `${number(quantity)} × ${inSentence(name)}`).join(', ');
}

export function stepName(name) {
  if (name.startsWith('undo:')) return `Undo: ${lowerFirst(stepName(name.slice('undo:'.length)))}`;
  const [, parcel, step] = /^ship\/(.+)\/([^/]+)$/.exec(name) ?? [];
  return parcel === undefined ? (STEPS[name] ?? name) : `Parcel ${parcel}: ${STEPS[step] ?? step}`;
}

function lowerFirst(text) {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
