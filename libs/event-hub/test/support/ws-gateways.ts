import type { LocalChannel } from '@nestbox/channels';
import { ConnectedChannel, EventHubService, channelOf } from '@nestbox/event-hub';
import {
  Catch,
  Injectable,
  UseFilters,
  UseGuards,
  UseInterceptors,
  type CallHandler,
  type CanActivate,
  type ExecutionContext,
  type NestInterceptor,
  type PipeTransform,
} from '@nestjs/common';
import {
  BaseWsExceptionFilter,
  ConnectedSocket,
  MessageBody,
  SubscribeMessage,
  WebSocketGateway,
  WsException,
  type OnGatewayConnection,
  type OnGatewayDisconnect,
} from '@nestjs/websockets';
import { from, map } from 'rxjs';
import type { WebSocket } from 'ws';

@Injectable()
class OnlyFriends implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    return channelOf(context.switchToWs().getClient<object>())?.openingData['friend'] === 'yes';
  }
}

class NumberPipe implements PipeTransform {
  transform(value: unknown): number {
    if (typeof value === 'number') return value;
    throw new WsException('no number');
  }
}

class Doubling implements NestInterceptor {
  intercept(_: ExecutionContext, next: CallHandler) {
    return next.handle().pipe(map((value: unknown) => ({ event: 'doubled', data: [value, value] })));
  }
}

@Catch()
class Base extends BaseWsExceptionFilter {}

/** What a gateway can have, on `/ws`. */
@WebSocketGateway({ path: '/ws' })
@UseFilters(Base)
export class MainGateway implements OnGatewayConnection, OnGatewayDisconnect {
  readonly connected: (string | undefined)[] = [];
  readonly disconnected: (string | undefined)[] = [];
  readonly binary: Buffer[] = [];

  constructor(private readonly hub: EventHubService) {}

  handleConnection(client: WebSocket): void {
    this.connected.push(channelOf(client)?.id);
    client.on('message', (data: Buffer, isBinary) => {
      if (isBinary) this.binary.push(data);
    });
  }

  handleDisconnect(client: WebSocket): void {
    this.disconnected.push(channelOf(client)?.id);
  }

  @SubscribeMessage('who')
  who(
    @ConnectedChannel() channel: LocalChannel,
    @MessageBody() body: unknown,
    @ConnectedSocket() client: WebSocket,
  ) {
    const { id, name, openingData, session } = channel;
    return {
      event: 'you',
      data: { id, name, openingData, session, body, same: channelOf(client) === channel },
    };
  }

  @SubscribeMessage('join')
  async join(@ConnectedChannel() channel: LocalChannel, @MessageBody() topic: string) {
    await this.hub.subscribe(topic, channel.id);
    return { event: 'joined', data: topic };
  }

  @UseGuards(OnlyFriends)
  @SubscribeMessage('secret')
  secret() {
    return { event: 'secret', data: 42 };
  }

  @SubscribeMessage('number')
  number(@MessageBody(new NumberPipe()) value: number) {
    return { event: 'number', data: value };
  }

  @UseInterceptors(Doubling)
  @SubscribeMessage('double')
  double(@MessageBody() value: number) {
    return value;
  }

  @SubscribeMessage('many')
  many() {
    return from([1, 2, 3]).pipe(map((data) => ({ event: 'one', data })));
  }

  @SubscribeMessage('circle')
  circle() {
    return { event: 'circle', data: 1n };
  }

  @SubscribeMessage('throw')
  throw() {
    throw new WsException('as it is');
  }
}

@WebSocketGateway({ path: '/other' })
export class OtherGateway {
  @SubscribeMessage('who')
  who(@ConnectedChannel() channel: LocalChannel) {
    return { event: 'other', data: channel.name };
  }
}
