// Opens sockets and counts what they receive. The same plain WebSocket client for both sides; for socket.io it speaks
// as much of its protocol as is needed to be connected.
import WebSocket from 'ws';

let sockets = [];
let received = 0;
let expected = Infinity;
let latencies;

const PROTOCOLS = {
  nestbox: {
    path: '/ws',
    isReady: (text) => text === 'ready',
    payloadOf: (text) => JSON.parse(text).data,
  },
  'socket.io': {
    path: '/socket.io/?EIO=4&transport=websocket',
    isReady: (text) => text.startsWith('40'),
    answer: (text) => (text.startsWith('0') ? '40' : text === '2' ? '3' : undefined),
    payloadOf: (text) => JSON.parse(text.slice(2))[1],
  },
};

process.on('message', (order) => void obey(order));
process.on('disconnect', () => process.exit(0));

async function obey(order) {
  if (order.open !== undefined) {
    await open(order.open, order.ports, order.count);
    process.send({ opened: sockets.length });
  }
  if (order.expect !== undefined) {
    received = 0;
    expected = order.expect;
    latencies = order.latency ? [] : undefined;
    process.send({ expecting: true });
  }
  if (order.close) {
    for (const socket of sockets) socket.terminate();
    sockets = [];
    process.send({ closed: true });
  }
}

async function open(protocol, ports, count) {
  for (let first = 0; first < count; first += 50) {
    const some = Array.from({ length: Math.min(50, count - first) }, (_, i) =>
      openOne(PROTOCOLS[protocol], ports[(first + i) % ports.length]),
    );
    sockets.push(...(await Promise.all(some)));
  }
}

function openOne({ path, isReady, answer, payloadOf }, port) {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, { perMessageDeflate: false });
    let ready = false;
    socket.on('error', reject);
    socket.on('message', (data) => {
      // A message of the topic is longer than any of the protocol's own.
      if (data.length > 150) {
        note(data, payloadOf);
        return;
      }
      const text = textOf(data);
      const reply = answer?.(text);
      if (reply !== undefined) socket.send(reply);
      if (!ready && isReady(text)) {
        ready = true;
        resolve(socket);
      }
    });
  });
}

function note(data, payloadOf) {
  received++;
  if (latencies !== undefined) {
    latencies.push(performance.timeOrigin + performance.now() - payloadOf(textOf(data)).at);
  }
  if (received === expected) process.send({ done: true, latencies });
}

/** Messages are buffers, as long as nobody asks the client for another type. */
function textOf(data) {
  return Buffer.isBuffer(data) ? data.toString() : '';
}
