import { Inject, type InjectionToken } from '@nestjs/common';
import { Postgres } from './postgres.js';

/** The injection token of a {@link Postgres}: the class itself without a name. */
export function getPostgresToken(name?: string): InjectionToken<Postgres> {
  return name === undefined ? Postgres : `NestboxPostgres:${name}`;
}

/** Injects the {@link Postgres} of that name. */
export function InjectPostgres(name?: string): PropertyDecorator & ParameterDecorator {
  return Inject(getPostgresToken(name));
}
