import type { InjectionToken } from '@nestjs/common';
import { ContextIdFactory, type DiscoveryService, type ModuleRef } from '@nestjs/core';

type Wrapper = ReturnType<DiscoveryService['getProviders']>[number];
type Constructor = () => unknown;

/** A class among the application's providers and controllers, and how to come by its instances. */
export class ProviderClass {
  private constructor(
    readonly type: Constructor,
    private readonly wrapper: Wrapper,
    private readonly moduleRef: ModuleRef,
  ) {}

  /** Every one of them, once; what is a value without a class, a factory or an alias is left out. */
  static *all(discovery: DiscoveryService, moduleRef: ModuleRef): Iterable<ProviderClass> {
    const wrappers = new Set([...discovery.getProviders(), ...discovery.getControllers()]);
    for (const wrapper of wrappers) {
      const type = wrapper.isAlias ? undefined : constructorOf(wrapper);
      if (type !== undefined) yield new ProviderClass(type, wrapper, moduleRef);
    }
  }

  get name(): string {
    return this.type.name;
  }

  /** The name of the module that provides it. */
  get module(): string | undefined {
    return this.wrapper.host?.name;
  }

  /** Whether there is one instance for all, not one for each request. */
  get isSingleton(): boolean {
    return this.wrapper.isDependencyTreeStatic() && !this.wrapper.isTransient;
  }

  has(method: string): boolean {
    // Where each request has its own there is no instance to look at, and a class without a prototype has no methods.
    const owner = (this.isSingleton ? this.wrapper.instance : this.type.prototype) as object | undefined;
    return typeof Reflect.get(owner ?? {}, method) === 'function';
  }

  /** The only instance. */
  get singleton(): unknown {
    return this.wrapper.instance;
  }

  /** An instance for one piece of work alone; where it asks for REQUEST it gets `request`. */
  resolve<T>(request: object): Promise<T> {
    const contextId = ContextIdFactory.create();
    this.moduleRef.registerRequestByContextId(request, contextId);
    const token: InjectionToken = this.wrapper.token;
    return this.moduleRef.resolve<T>(token as string, contextId, { strict: false });
  }
}

function constructorOf({ metatype, instance, inject }: Wrapper): Constructor | undefined {
  // With `inject` it is a factory.
  if (typeof metatype === 'function' && inject == null) return metatype as Constructor;
  if (typeof instance !== 'object' || instance === null) return undefined;
  const type: unknown = Reflect.get(instance, 'constructor');
  return typeof type === 'function' ? (type as Constructor) : undefined;
}
