import { InvalidArgumentError } from '@nestbox/core';
import type { InjectionToken } from '@nestjs/common';
import type { ModuleRef } from '@nestjs/core';

/**
 * A connection that was named by the result of a factory, hence not known when the module was put together.
 *
 * @param tokenOf such as `getPostgresToken`
 * @param moduleName such as `PostgresModule`, for the error
 * @throws InvalidArgumentError when the application has none of that name
 */
export function findConnection<C>(
  moduleRef: ModuleRef,
  tokenOf: (name?: string) => InjectionToken<C>,
  moduleName: string,
  name: string | undefined,
): C {
  const found = get(moduleRef, tokenOf(name));
  if (found !== undefined && found !== null) return found;
  const named = name === undefined ? '' : `, name: '${name}'`;
  throw new InvalidArgumentError(
    'connection',
    `there is no ${moduleName}${name === undefined ? '' : ` of the name '${name}'`}. ` +
      `Import ${moduleName}.forRoot({ url: …${named} }) in the application's root module.`,
  );
}

function get<C>(moduleRef: ModuleRef, token: InjectionToken<C>): C | undefined {
  try {
    return moduleRef.get<C>(token, { strict: false });
  } catch {
    // Nest throws where it knows no such provider.
    return undefined;
  }
}
