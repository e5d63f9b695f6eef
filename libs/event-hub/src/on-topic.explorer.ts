import { InvalidArgumentError } from '@nestbox/core';
import type { InjectionToken, OnApplicationBootstrap } from '@nestjs/common';
import { ContextIdFactory, type DiscoveryService, type MetadataScanner, type ModuleRef } from '@nestjs/core';
import type { EventHubService } from './event-hub.service.js';
import { getEventHubToken } from './event-hub.tokens.js';
import { bindingsOf } from './on-topic.decorator.js';
import type { AnyHandler } from './service/handler-lanes.js';
import type { HubMessageContext } from './service/hub-message.js';

type Wrapper = ReturnType<DiscoveryService['getProviders']>[number];
type Methods = Record<string, AnyHandler>;

/** Binds the `@OnTopic` methods of the application's providers and controllers to one hub. */
export class OnTopicExplorer implements OnApplicationBootstrap {
  constructor(
    private readonly name: string | undefined,
    private readonly hub: EventHubService,
    private readonly discovery: DiscoveryService,
    private readonly scanner: MetadataScanner,
    private readonly moduleRef: ModuleRef,
  ) {}

  /** When all of them are ready to be called. */
  async onApplicationBootstrap(): Promise<void> {
    const ready: Promise<void>[] = [];
    const seen = new Set<object>();
    for (const wrapper of [...this.discovery.getProviders(), ...this.discovery.getControllers()]) {
      const prototype = prototypeOf(wrapper);
      if (wrapper.isAlias || prototype === undefined || seen.has(wrapper)) continue;
      seen.add(wrapper);
      for (const method of this.scanner.getAllMethodNames(prototype)) {
        const bindings = bindingsOf((prototype as Record<string, () => unknown>)[method]!);
        for (const { topicOrPattern, store } of bindings) {
          this.assertExists(store, `${wrapper.name}.${method}`);
          if (store !== this.name) continue;
          ready.push(this.hub.on(topicOrPattern, this.handlerOf(wrapper, method)).ready);
        }
      }
    }
    await Promise.all(ready);
  }

  private handlerOf(wrapper: Wrapper, method: string): AnyHandler {
    if (wrapper.isDependencyTreeStatic() && !wrapper.isTransient) {
      return (data, context) => (wrapper.instance as Methods)[method]!(data, context);
    }
    return async (data, context) => {
      const instance = await this.resolve(wrapper.token, context);
      return instance[method]!(data, context);
    };
  }

  /** An instance for this message alone; where it asks for REQUEST it gets the message's context. */
  private resolve(token: InjectionToken, context: HubMessageContext): Promise<Methods> {
    const contextId = ContextIdFactory.create();
    this.moduleRef.registerRequestByContextId(context, contextId);
    return this.moduleRef.resolve<Methods>(token as string, contextId, { strict: false });
  }

  private assertExists(store: string | undefined, method: string): void {
    if (store === undefined || store === this.name) return;
    try {
      this.moduleRef.get(getEventHubToken(store), { strict: false });
    } catch (error) {
      throw new InvalidArgumentError(
        '@OnTopic',
        `${method} listens to the hub '${store}', and there is none of that name. Import EventHubModule.forRoot({ …, name: '${store}' }).`,
        { cause: error },
      );
    }
  }
}

/** Where the methods are; of a class without asking for an instance, which there is none of in a request's scope. */
function prototypeOf({ metatype, instance, inject }: Wrapper): object | undefined {
  if (typeof metatype === 'function' && inject == null) return metatype.prototype as object | undefined;
  if (typeof instance !== 'object' || instance === null) return undefined;
  return Object.getPrototypeOf(instance) as object;
}
