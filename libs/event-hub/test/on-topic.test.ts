import { Controller, Inject, Injectable, Module, Scope } from '@nestjs/common';
import { REQUEST } from '@nestjs/core';
import {
  EventHubModule,
  EventHubService,
  OnTopic,
  getEventHubToken,
  type HubMessageContext,
} from '@nestbox/event-hub';
import { eventually } from '@nestbox/testing';
import { startApp } from './support/start-app.js';

const log: string[] = [];
beforeEach(() => {
  log.length = 0;
});

abstract class Base {
  @OnTopic('inherited')
  inherited(): void {
    log.push(`inherited by ${this.constructor.name}`);
  }
}

@Injectable()
class Greeting {
  readonly text = 'hello';
}

@Injectable()
class Listener extends Base {
  constructor(private readonly greeting: Greeting) {
    super();
  }

  get notToBeCalled(): never {
    throw new Error('a getter was called');
  }

  @OnTopic('orders.*')
  @OnTopic('twice')
  onOrder(data: unknown, { topic }: HubMessageContext): void {
    log.push(`${this.greeting.text} ${topic} ${JSON.stringify(data)}`);
  }

  @OnTopic('orders.*', { store: 'other' })
  onOther(data: unknown): void {
    log.push(`other ${JSON.stringify(data)}`);
  }
}

let made = 0;

@Injectable({ scope: Scope.REQUEST })
class PerMessage {
  private readonly id = ++made;
  constructor(
    private readonly greeting: Greeting,
    @Inject(REQUEST) private readonly context: HubMessageContext,
  ) {}

  @OnTopic('scoped')
  onMessage(data: unknown): void {
    log.push(`${this.greeting.text} ${this.id} ${this.context.topic} ${JSON.stringify(data)}`);
  }
}

@Injectable({ scope: Scope.TRANSIENT })
class Transient {
  @OnTopic('transient')
  onMessage(): void {
    log.push('transient');
  }
}

@Controller('c')
class SomeController {
  @OnTopic('controller')
  onMessage(): void {
    log.push('controller');
  }
}

@Module({
  providers: [Greeting, Listener, { provide: 'alias', useExisting: Listener }, PerMessage, Transient],
  controllers: [SomeController],
})
class ListenersModule {}

const memory = (name?: string) => EventHubModule.forRoot({ store: 'memory', name });

describe('@OnTopic', () => {
  it('calls methods of providers and controllers for the hub they listen to, each once', async () => {
    const app = await startApp({ imports: [ListenersModule, memory(), memory('other')] });
    const hub = app.get(EventHubService);
    await hub.publish('orders.new', { n: 1 });
    await hub.publish('twice', 2);
    await hub.publish('controller', 3);
    await hub.publish('inherited', 4);
    await app.get<EventHubService>(getEventHubToken('other')).publish('orders.new', 5);
    await eventually(() => expect(log).toHaveLength(5));
    expect(log.toSorted()).toEqual([
      'controller',
      'hello orders.new {"n":1}',
      'hello twice 2',
      'inherited by Listener',
      'other 5',
    ]);
    await app.close();
    expect(hub.figures.handlers).toBe(0);
  });

  it('makes an instance for each message where the scope asks for it, which can inject the context', async () => {
    const app = await startApp({ imports: [ListenersModule, memory(), memory('other')] });
    const hub = app.get(EventHubService);
    const before = made;
    await hub.publish('scoped', 'a');
    await hub.publish('scoped', 'b');
    await hub.publish('transient', 'c');
    await eventually(() => expect(log).toHaveLength(3));
    expect(log.toSorted()).toEqual([
      `hello ${before + 1} scoped "a"`,
      `hello ${before + 2} scoped "b"`,
      'transient',
    ]);
    await app.close();
  });

  it('says which hub is missing', async () => {
    await expect(startApp({ imports: [ListenersModule, memory()] })).rejects.toThrow(
      "Invalid @OnTopic: Listener.onOther listens to the hub 'other', and there is none of that name. Import EventHubModule.forRoot({ …, name: 'other' }).",
    );
  });

  it('refuses patterns that are none', () => {
    expect(() => OnTopic('a.**.b')).toThrow('Invalid topicOrPattern');
    expect(() => OnTopic('')).toThrow('Invalid topicOrPattern');
  });

  it('lets handlers that run finish before the application goes down, within a bound', async () => {
    const app = await startApp({ imports: [EventHubModule.forRoot({ store: 'memory', drainTimeout: 300 })] });
    const hub = app.get(EventHubService);
    let finished = false;
    hub.on('slow', async () => {
      await new Promise((resolve) => setTimeout(resolve, 50));
      finished = true;
    });
    hub.on('stuck', () => new Promise(() => undefined));
    await hub.publish('slow', 1);
    await hub.publish('stuck', 1);
    const start = performance.now();
    await app.close();
    expect(finished).toBe(true);
    expect(performance.now() - start).toBeLessThan(5000);
  });
});
