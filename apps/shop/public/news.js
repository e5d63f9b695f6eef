import { one, setText } from './dom.js';

/** How long each of them stands, so that there is time to read it, and to hear it. */
const SHOWN_MS = 5000;
const WITH_OTHERS_MS = 2000;

const waiting = [];
let shown;
let standing = '';
let timer;

/**
 * Says something to everybody, those who listen to the page included, and takes it away after a while.
 *
 * @param about what it is news of: it takes the place of older news of it
 */
export function say(text, about) {
  const other = waiting.filter((news) => about === undefined || news.about !== about);
  waiting.splice(0, waiting.length, ...other);
  if (about !== undefined && about === shown?.about) {
    clearTimeout(timer);
    waiting.unshift({ text, about });
    next();
    return;
  }
  waiting.push({ text, about });
  if (timer === undefined) next();
}

/** Says something that stays until it is taken back with an empty text. */
export function sayUntilFurtherNotice(text) {
  standing = text;
  if (timer === undefined) next();
}

function next() {
  shown = waiting.shift();
  setText(one('#news'), shown?.text ?? standing);
  const time = waiting.length > 0 ? WITH_OTHERS_MS : SHOWN_MS;
  timer = shown === undefined ? undefined : setTimeout(next, time);
}
