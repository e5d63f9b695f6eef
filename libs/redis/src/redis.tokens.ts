import { Inject, type InjectionToken } from '@nestjs/common';
import { Redis } from './redis.js';

/** The injection token of a {@link Redis}: the class itself without a name. */
export function getRedisToken(name?: string): InjectionToken<Redis> {
  return name === undefined ? Redis : `NestboxRedis:${name}`;
}

/** Injects the {@link Redis} of that name. */
export function InjectRedis(name?: string): PropertyDecorator & ParameterDecorator {
  return Inject(getRedisToken(name));
}
