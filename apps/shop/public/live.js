/** How long to wait before the next attempt, in ms: the first soon, and no two clients in step. */
const MIN_PAUSE_MS = 200;
const MAX_PAUSE_MS = 5000;
/** Close codes after which to come back is of no use: a message too large, and a newer connection in our place. */
const FOR_GOOD = new Set([1009, 4000]);

/**
 * A connection to the shop that comes back by itself and misses nothing that is still kept: it remembers for each topic
 * the position of the last message that it has seen, and joins from there again.
 *
 * Calls `onState` with `'live'` and `'lost'`; a topic's `onMessage` with each message; and its `onMissed` when what is
 * shown may be old, so that it has to be read: at first, and when it cannot be known what was missed.
 */
export class Live {
  #url;
  #onState;
  #topics = new Map();
  #socket;
  #attempt = 0;
  #timer;

  constructor(url, { onState }) {
    this.#url = url;
    this.#onState = onState;
    this.#connect();
    addEventListener('online', () => this.#connectNow());
    document.addEventListener('visibilitychange', () => {
      if (document.visibilityState === 'visible') this.#connectNow();
    });
  }

  get isLive() {
    return this.#socket.readyState === WebSocket.OPEN;
  }

  join(topic, { onMessage, onMissed }) {
    this.#topics.set(topic, { onMessage, onMissed, position: undefined, joined: false });
    if (this.isLive) this.#sendJoin(topic);
  }

  leave(topic) {
    this.#topics.delete(topic);
    if (this.isLive) this.#send('leave', { topic });
  }

  #connect() {
    clearTimeout(this.#timer);
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    socket.addEventListener('open', () => {
      this.#attempt = 0;
      for (const topic of this.#topics.keys()) this.#sendJoin(topic);
      this.#onState('live');
    });
    socket.addEventListener('message', ({ data }) => {
      if (typeof data === 'string') this.#receive(JSON.parse(data));
    });
    socket.addEventListener('close', ({ code }) => {
      clearTimeout(this.#timer);
      this.#onState('lost');
      if (FOR_GOOD.has(code)) return;
      this.#timer = setTimeout(() => this.#connect(), this.#pause());
    });
  }

  /** The network is back, or somebody looks again. */
  #connectNow() {
    if (this.#socket.readyState === WebSocket.CLOSED) this.#connect();
  }

  #pause() {
    return Math.min(MAX_PAUSE_MS, MIN_PAUSE_MS * 2 ** this.#attempt++) * (0.5 + Math.random() / 2);
  }

  #sendJoin(topic) {
    const entry = this.#topics.get(topic);
    entry.joined = false;
    this.#send('join', { topic, since: entry.position });
  }

  #send(event, data) {
    this.#socket.send(JSON.stringify({ event, data }));
  }

  #receive({ event, data, epoch, offset }) {
    if (event === 'joined') {
      const topic = this.#topics.get(data.topic);
      if (topic === undefined) return;
      topic.joined = true;
      topic.position = data.position ?? topic.position;
      if (!data.recovered) topic.onMissed?.();
    } else if (event === 'error') {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#joinAgain(), this.#pause());
    } else if (event === 'nestbox:gap') {
      this.#topics.get(data.topic)?.onMissed?.();
    } else if (event === 'nestbox:position') {
      const topic = this.#topics.get(data.topic);
      if (topic !== undefined) topic.position = { epoch: data.epoch, offset: data.offset };
    } else {
      const topic = this.#topics.get(event);
      if (topic === undefined) return;
      if (epoch !== undefined) topic.position = { epoch, offset };
      topic.onMessage(data);
    }
  }

  /** The shop could not do what it was asked for, and does not say what that was. */
  #joinAgain() {
    if (!this.isLive) return;
    for (const [topic, { joined }] of this.#topics) if (!joined) this.#sendJoin(topic);
  }
}
