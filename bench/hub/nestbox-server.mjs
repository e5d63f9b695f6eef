// An application with a gateway whose sockets all join one topic.
import 'reflect-metadata';
import { ChannelModule } from '@nestbox/channels';
import { channelOf, EventHubModule, EventHubService, NestboxWsAdapter } from '@nestbox/event-hub';
import { PostgresModule } from '@nestbox/postgres';
import { RedisModule } from '@nestbox/redis';
import { Inject, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { WebSocketGateway } from '@nestjs/websockets';
import { serve } from './server-process.mjs';

const { STORE: store, DATABASE_URL, REDIS_URL } = process.env;

class Gateway {
  constructor(hub) {
    this.hub = hub;
  }

  async handleConnection(client) {
    await this.hub.subscribe('bench', channelOf(client).id);
    client.send('ready');
  }
}
Inject(EventHubService)(Gateway, undefined, 0);
WebSocketGateway({ path: '/ws' })(Gateway);

class App {}
Module({
  imports: [
    store === 'redis'
      ? RedisModule.forRoot({ url: REDIS_URL })
      : PostgresModule.forRoot({ url: DATABASE_URL }),
    ChannelModule.forRoot({ store }),
    EventHubModule.forRoot({ store }),
  ],
  providers: [Gateway],
})(App);

const app = await NestFactory.create(App, { logger: ['error', 'warn'] });
app.useWebSocketAdapter(new NestboxWsAdapter(app));
await app.listen(0, '127.0.0.1');
const hub = app.get(EventHubService);

serve({
  port: app.getHttpServer().address().port,
  publish: (data) => hub.publish('bench', data),
});
