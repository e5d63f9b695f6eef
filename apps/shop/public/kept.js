/** What this browser remembers from one visit to the next. Without storage it remembers until the page is closed. */

const PREFIX = 'nestbox-shop-';
const memory = new Map();

export function kept(name) {
  try {
    return JSON.parse(localStorage.getItem(PREFIX + name)) ?? undefined;
  } catch {
    return memory.get(name);
  }
}

/** @param value undefined to forget it */
export function keep(name, value) {
  memory.set(name, value);
  try {
    if (value === undefined) localStorage.removeItem(PREFIX + name);
    else localStorage.setItem(PREFIX + name, JSON.stringify(value));
  } catch {
    // Storage is full or switched off.
  }
}

/** Another window of this browser has kept something else under that name. */
export function onKept(name, listener) {
  addEventListener('storage', ({ key }) => {
    if (key === PREFIX + name) listener(kept(name));
  });
}

/** `crypto.randomUUID` is there on https and localhost only, and the page may be looked at from elsewhere. */
export function newId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) =>
    byte.toString(16).padStart(2, '0'),
  ).join('');
}
