import { Inject, type InjectionToken } from '@nestjs/common';
import { KeyValueStore } from './key-value-store.js';

/** The injection token of a store: the class KeyValueStore itself without a name. */
export function getKvToken(name?: string): InjectionToken<KeyValueStore> {
  return name === undefined ? KeyValueStore : `NestboxKv:${name}`;
}

/** Injects the KeyValueStore of that name. */
export function InjectKv(name?: string): PropertyDecorator & ParameterDecorator {
  return Inject(getKvToken(name));
}
