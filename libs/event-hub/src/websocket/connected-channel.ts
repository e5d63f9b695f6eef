import type { LocalChannel } from '@nestbox/channels';
import { createParamDecorator, type ExecutionContext } from '@nestjs/common';

/** By the client object itself, so that it ends with it. */
const channels = new WeakMap<object, LocalChannel>();

/** @internal */
export function connect(client: object, channel: LocalChannel): void {
  channels.set(client, channel);
}

/** The channel of a client of a gateway, such as the argument of `handleConnection`. It stays when the socket closes. */
export function channelOf(client: object): LocalChannel | undefined {
  return channels.get(client);
}

/** Gives a handler of a gateway the channel of the client that has sent the message: a `LocalChannel`. */
export const ConnectedChannel: () => ParameterDecorator = createParamDecorator(
  (_: unknown, context: ExecutionContext): LocalChannel => {
    const channel = channelOf(context.switchToWs().getClient<object>());
    if (channel !== undefined) return channel;
    throw new Error(
      'The client has no channel. Call app.useWebSocketAdapter(new NestboxWsAdapter(app)) before the application starts.',
    );
  },
);
