import { InvalidArgumentError } from '@nestbox/core';
import type { InjectionToken } from '@nestjs/common';
import type { ModuleRef } from '@nestjs/core';

/** One instance of a module that an application may import several times, under different names. */
export interface NamedModule {
  /** Such as `event store`, for errors. */
  readonly what: string;
  /** Such as `EventStoreModule`. */
  readonly moduleName: string;
  /** The name of this one. */
  readonly name: string | undefined;
  /** Such as `getEventStoreToken`. */
  readonly tokenOf: (name?: string) => InjectionToken;
}

/**
 * Whether a decorated class is for this instance of a module, by the `store` that its decorator names.
 *
 * @throws InvalidArgumentError when the application has none of that name
 */
export function isForModule(
  { what, moduleName, name, tokenOf }: NamedModule,
  moduleRef: ModuleRef,
  decorator: string,
  className: string,
  store: string | undefined,
): boolean {
  if (store === name) return true;
  try {
    moduleRef.get<unknown>(tokenOf(store), { strict: false });
    return false;
  } catch (error) {
    throw new InvalidArgumentError(
      decorator,
      store === undefined
        ? `${className} is for the ${what} without a name, and there is none. Give its decorator store: '${name}', or import ${moduleName}.forRoot(…) without a name.`
        : `${className} is for the ${what} '${store}', and there is none of that name. Import ${moduleName}.forRoot({ …, name: '${store}' }).`,
      { cause: error },
    );
  }
}
