const TIMEOUT_MS = 15_000;
const MIN_PAUSE_MS = 300;
const MAX_PAUSE_MS = 5000;
/** No answer of the shop itself, or one that says to come back. */
const AWAY = new Set([502, 503, 504]);

/** The shop has answered that it will not; the message says why, in its words. */
export class Refusal extends Error {
  /** @param errors each fault as `{ path, message }`, where the request is not valid */
  constructor(status, { title, detail, errors }) {
    super(detail ?? title ?? `The shop has answered with ${status}.`);
    this.status = status;
    this.errors = errors ?? [];
  }
}

/** The shop has not answered, or said to come back later; or nobody wanted to know any more. */
export class Unanswered extends Error {}

const waiting = new Set();
let isAway = false;
let tellAway = () => {};

/** @param tell is called with whether the shop is away, when that changes */
export function onAway(tell) {
  tellAway = tell;
}

/** The shop is back, it seems: who waits for it asks at once. */
export function askAgainNow() {
  for (const wake of waiting) wake();
}

/**
 * Reads something as it is now.
 *
 * @throws Refusal, and Unanswered where the shop is away
 */
export async function read(path, { signal } = {}) {
  return ask('GET', path, { signal });
}

/** The same, and waits for the shop where that is away. */
export function readPatiently(path, { signal } = {}) {
  return untilAnswered(() => read(path, { signal }), signal);
}

/**
 * Changes something, and asks again and again until the shop has answered: so only what happens once however often it is
 * asked for, by its nature or by its `key` (the `Idempotency-Key`).
 *
 * @throws Refusal
 */
export function change(method, path, { body, key } = {}) {
  return untilAnswered(() => ask(method, path, { body, key }));
}

/**
 * Changes something that may happen twice, so it is asked for once.
 *
 * @throws Refusal, and Unanswered, after which it may have happened or not
 */
export async function changeOnce(method, path, { body } = {}) {
  return ask(method, path, { body });
}

async function untilAnswered(attempt, signal) {
  for (let pause = MIN_PAUSE_MS; ; pause = Math.min(MAX_PAUSE_MS, pause * 2)) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof Unanswered) || signal?.aborted === true) throw error;
      await sleep(pause * (0.5 + Math.random() / 2));
    }
  }
}

/** An answer of which only a part came is none. */
async function ask(method, path, options) {
  const response = await send(method, path, options);
  try {
    return await response.json();
  } catch (cause) {
    throw new Unanswered(`The answer to ${method} ${path} broke off.`, { cause });
  }
}

async function send(method, path, { body, key, signal }) {
  const limit = AbortSignal.timeout(TIMEOUT_MS);
  let response;
  try {
    response = await fetch(path, {
      method,
      cache: method === 'GET' ? 'no-cache' : 'default',
      headers: {
        Accept: 'application/json',
        ...(body !== undefined && { 'Content-Type': 'application/json' }),
        ...(key !== undefined && { 'Idempotency-Key': key }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      signal: signal === undefined ? limit : AbortSignal.any([signal, limit]),
    });
  } catch (cause) {
    if (signal?.aborted !== true) setAway(true);
    throw new Unanswered(`${method} ${path} was not answered.`, { cause });
  }
  setAway(AWAY.has(response.status));
  if (AWAY.has(response.status))
    throw new Unanswered(`${method} ${path} was answered with ${response.status}.`);
  if (!response.ok) throw new Refusal(response.status, await response.json().catch(() => ({})));
  return response;
}

function setAway(is) {
  if (is === isAway) return;
  isAway = is;
  tellAway(is);
  if (!is) askAgainNow();
}

function sleep(ms) {
  return new Promise((resolve) => {
    const wake = () => {
      clearTimeout(timer);
      waiting.delete(wake);
      resolve();
    };
    const timer = setTimeout(wake, ms);
    waiting.add(wake);
  });
}
