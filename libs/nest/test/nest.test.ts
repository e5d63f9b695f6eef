import { InvalidArgumentError } from '@nestbox/core';
import { ProviderClass, findConnection, isForModule, reportHealth, startWithin } from '@nestbox/nest';
import { Inject, Injectable, Scope } from '@nestjs/common';
import { DiscoveryModule, DiscoveryService, ModuleRef, REQUEST } from '@nestjs/core';
import { Test } from '@nestjs/testing';

describe('reportHealth', () => {
  const what = 'The thing';

  it('says up with what is known and what was found', async () => {
    const report = await reportHealth({
      key: 'thing',
      what,
      figures: { backend: 'memory' },
      probe: async () => ({ figures: { latencyMs: 1 } }),
    });
    expect(report).toEqual({ thing: { status: 'up', backend: 'memory', latencyMs: 1 } });
  });

  it('says degraded with the problem', async () => {
    const report = await reportHealth({
      key: 'thing',
      what,
      probe: async () => ({ problem: 'It limps.', figures: { age: 2 } }),
    });
    expect(report).toEqual({ thing: { status: 'degraded', message: 'It limps.', age: 2 } });
  });

  it('says down with what is known when the probe fails', async () => {
    const report = await reportHealth({
      key: 'thing',
      what,
      figures: { backend: 'memory' },
      probe: () => Promise.reject(new Error('gone')),
    });
    expect(report).toEqual({ thing: { status: 'down', backend: 'memory', message: 'gone' } });
  });

  it('says down within the timeout when the probe hangs', async () => {
    const report = await reportHealth({
      key: 'thing',
      what,
      timeout: 20,
      probe: () => new Promise(() => {}),
    });
    expect(report).toEqual({ thing: { status: 'down', message: 'The thing did not answer within 20 ms.' } });
  });

  it('refuses a timeout that is none', async () => {
    const probe = async () => ({ figures: {} });
    await expect(reportHealth({ key: 'thing', what, timeout: -1, probe })).rejects.toThrow(
      InvalidArgumentError,
    );
  });
});

describe('findConnection', () => {
  const tokenOf = (name?: string): string => `thing:${name ?? ''}`;

  it('finds a connection by its name, or says what to import', async () => {
    const module = await Test.createTestingModule({
      providers: [{ provide: tokenOf('a'), useValue: 'found' }],
    }).compile();
    const moduleRef = module.get(ModuleRef);
    expect(findConnection(moduleRef, tokenOf, 'ThingModule', 'a')).toBe('found');
    expect(() => findConnection(moduleRef, tokenOf, 'ThingModule', 'b')).toThrow(
      "there is no ThingModule of the name 'b'. Import ThingModule.forRoot({ url: …, name: 'b' })",
    );
    expect(() => findConnection(moduleRef, tokenOf, 'ThingModule', undefined)).toThrow(
      'there is no ThingModule.',
    );
    await module.close();
  });
});

describe('startWithin', () => {
  const { signal } = new AbortController();

  it('tries until it succeeds, and tells of the first failure only', async () => {
    const failures: unknown[] = [];
    let attempts = 0;
    const start = async (): Promise<void> => {
      if (++attempts < 3) throw new Error(`attempt ${attempts}`);
    };
    const onFirstFailure = (error: unknown): void => void failures.push(error);
    expect(await startWithin(start, { timeoutMs: Infinity, signal, onFirstFailure })).toBe(3);
    expect(failures).toEqual([new Error('attempt 1')]);
  });

  it('gives up with the last error when the time is up, and when it is told to', async () => {
    const start = () => Promise.reject(new Error('never'));
    const onFirstFailure = () => undefined;
    await expect(startWithin(start, { timeoutMs: 1, signal, onFirstFailure })).rejects.toThrow('never');
    const aborted = AbortSignal.abort();
    await expect(
      startWithin(start, { timeoutMs: Infinity, signal: aborted, onFirstFailure }),
    ).rejects.toThrow('never');
  });
});

describe('ProviderClass', () => {
  class Plain {
    handle(): void {}
  }
  class Made extends Plain {}
  @Injectable({ scope: Scope.REQUEST })
  class PerRequest {
    constructor(@Inject(REQUEST) readonly request: object) {}
    handle(): void {}
  }

  it('gives each class once, however it is provided, with its instances', async () => {
    class FeatureModule {}
    const app = await Test.createTestingModule({
      imports: [
        DiscoveryModule,
        {
          module: FeatureModule,
          providers: [
            Plain,
            PerRequest,
            { provide: 'made', useFactory: () => new Made() },
            { provide: 'alias', useExisting: Plain },
            { provide: 'value', useValue: 7 },
          ],
        },
      ],
    }).compile();
    const moduleRef = app.get(ModuleRef);
    const classes = [...ProviderClass.all(app.get(DiscoveryService), moduleRef)];
    const ours = classes.filter(({ module }) => module === 'FeatureModule');
    const found = new Map(ours.map((each) => [each.name, each]));
    expect(ours.filter(({ type }) => type === (Plain as unknown))).toHaveLength(1);
    expect(found.get('Plain')!.singleton).toBe(app.get(Plain));
    expect(found.get('Made')).toMatchObject({ isSingleton: true, singleton: app.get('made') });

    const perRequest = found.get('PerRequest')!;
    expect([perRequest.isSingleton, perRequest.has('handle'), perRequest.has('other')]).toEqual([
      false,
      true,
      false,
    ]);
    const request = { id: 7 };
    const [one, other] = await Promise.all([1, 2].map(() => perRequest.resolve<PerRequest>(request)));
    expect(one!.request).toEqual(request);
    expect(other).not.toBe(one);
    await app.close();
  });
});

describe('isForModule', () => {
  it('tells modules of different names apart, and refuses one that is not there', async () => {
    const app = await Test.createTestingModule({
      providers: [{ provide: 'store:main', useValue: {} }],
    }).compile();
    const isFor = (name: string | undefined, store: string | undefined): boolean =>
      isForModule(
        { what: 'store', moduleName: 'StoreModule', name, tokenOf: (of) => `store:${of}` },
        app.get(ModuleRef),
        '@Handler',
        'Orders',
        store,
      );
    expect([isFor('main', 'main'), isFor('other', 'main'), isFor(undefined, undefined)]).toEqual([
      true,
      false,
      true,
    ]);
    expect(() => isFor('main', 'lost')).toThrow(
      "Invalid @Handler: Orders is for the store 'lost', and there is none of that name. Import StoreModule.forRoot({ …, name: 'lost' }).",
    );
    expect(() => isFor('main', undefined)).toThrow("Give its decorator store: 'main'");
    await app.close();
  });
});
