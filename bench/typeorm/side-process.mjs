import { fork } from 'node:child_process';

/**
 * Opens a side in a process of its own: once anything in a process has used an AsyncLocalStorage, every promise in it
 * costs more (until Node 22), and the peers are not to pay for that of others.
 *
 * `slice`, `call`, `called`, `count` and `close` run there; see side-child.mjs.
 */
export async function openSide(kind, url) {
  const child = fork(new URL('side-child.mjs', import.meta.url), [kind, url]);
  const waiting = new Map();
  let last = 0;
  const answer = (id) =>
    new Promise((resolve, reject) => {
      waiting.set(id, { resolve, reject });
    });
  child.on('message', ({ id, result, error }) => {
    const { resolve, reject } = waiting.get(id);
    waiting.delete(id);
    if (error === undefined) resolve(result);
    else reject(new Error(error));
  });
  child.on('exit', (code) => {
    for (const { reject } of waiting.values()) reject(new Error(`${kind} ended with ${code}`));
  });
  const ask = (method, ...args) => {
    const id = ++last;
    const answered = answer(id);
    child.send({ id, method, args });
    return answered;
  };
  const name = await answer(0);
  return {
    name,
    slice: (operation, callers, ms) => ask('slice', operation, callers, ms),
    call: (operation, i) => ask('call', operation, i),
    called: (operation) => ask('called', operation),
    count: () => ask('count'),
    async close() {
      if (!child.connected) return;
      await ask('close');
      child.disconnect();
    },
  };
}
