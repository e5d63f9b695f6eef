import { Inject, type InjectionToken } from '@nestjs/common';
import { ChannelService } from './channel.service.js';

/** The injection token of a service: the class ChannelService itself without a name. */
export function getChannelsToken(name?: string): InjectionToken<ChannelService> {
  return name === undefined ? ChannelService : `NestboxChannels:${name}`;
}

/** Injects the ChannelService of that name. */
export function InjectChannels(name?: string): PropertyDecorator & ParameterDecorator {
  return Inject(getChannelsToken(name));
}
