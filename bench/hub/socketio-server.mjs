// A socket.io server with its Redis adapter, as its documentation sets it up, whose sockets all join one room.
import { createServer } from 'node:http';
import { createAdapter } from '@socket.io/redis-adapter';
import { Redis } from 'ioredis';
import { Server } from 'socket.io';
import { serve } from './server-process.mjs';

const pub = new Redis(process.env.REDIS_URL);
const http = createServer();
const io = new Server(http, { adapter: createAdapter(pub, pub.duplicate()), transports: ['websocket'] });
io.on('connection', (socket) => {
  void socket.join('bench');
});
await new Promise((resolve) => {
  http.listen(0, '127.0.0.1', resolve);
});

serve({
  port: http.address().port,
  publish(data) {
    io.to('bench').emit('bench', data);
  },
});
