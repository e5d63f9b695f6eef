/** How long to wait before the next attempt, in ms: the first soon, and no two clients in step. */
const MIN_PAUSE_MS = 200;
const MAX_PAUSE_MS = 5000;

/**
 * A connection to the shop that comes back by itself and misses nothing that is still kept: it remembers for each topic
 * the position of the last message that it has seen, and joins from there again.
 *
 * Calls `onState` with `'live'` and `'lost'`; dispatches each message to the listener of its topic; calls a topic's
 * `onMissed` when it cannot be known what was missed, so that the state has to be read anew.
 */
export class Live {
  #url;
  #onState;
  #topics = new Map();
  #socket;
  #attempt = 0;

  constructor(url, { onState }) {
    this.#url = url;
    this.#onState = onState;
    this.#connect();
  }

  join(topic, { onMessage, onMissed }) {
    this.#topics.set(topic, { onMessage, onMissed, position: undefined });
    if (this.#socket?.readyState === WebSocket.OPEN) this.#sendJoin(topic);
  }

  leave(topic) {
    this.#topics.delete(topic);
    if (this.#socket?.readyState === WebSocket.OPEN) this.#send('leave', { topic });
  }

  #connect() {
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
    socket.addEventListener('close', () => {
      this.#onState('lost');
      const pause = Math.min(MAX_PAUSE_MS, MIN_PAUSE_MS * 2 ** this.#attempt++);
      setTimeout(() => this.#connect(), pause * (0.5 + Math.random() / 2));
    });
  }

  #sendJoin(topic) {
    const { position } = this.#topics.get(topic);
    this.#send('join', { topic, since: position });
  }

  #send(event, data) {
    this.#socket.send(JSON.stringify({ event, data }));
  }

  #receive({ event, data, epoch, offset }) {
    if (event === 'joined') {
      const topic = this.#topics.get(data.topic);
      if (topic === undefined) return;
      const isReturn = topic.position !== undefined;
      topic.position = data.position ?? topic.position;
      if (isReturn && !data.recovered) topic.onMissed?.();
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
}
