import { Injectable, Scope, type Type } from '@nestjs/common';
import { EventStoreModule, Projection, Reactor, type ProjectionDecoratorOptions } from '@nestbox/event-store';
import { Apps } from './support/start-app.js';

const apps = new Apps();
afterEach(() => apps.close());

const memory = (name?: string) => EventStoreModule.forRoot({ store: 'memory', name });

/** What an application with these providers fails with. */
async function problemOf(providers: Type[], imports: object[] = [memory()]): Promise<string> {
  try {
    await apps.start({ imports: imports as never[], providers });
  } catch (error) {
    expect(error).toMatchObject({ name: 'InvalidArgumentError', code: 'INVALID_ARGUMENT' });
    return (error as Error).message;
  }
  return 'none';
}

@Projection({ name: 'both' })
class Both {
  evolve(): void {}
  handle(): void {}
}

@Projection({ name: 'neither' })
class Neither {}

@Projection({ name: 'two-ways' })
class TwoWays {
  evolve(): void {}
  getDocumentId(): void {}
  getDocumentIds(): void {}
}

@Projection({ name: 'scoped' })
@Injectable({ scope: Scope.REQUEST })
class ScopedDocuments {
  evolve(): void {}
}

@Projection({ name: 'with-tables', tables: ['t'] })
class DocumentsWithTables {
  evolve(): void {}
}

@Projection({ name: 'with-indexes', indexes: ['a'] })
class HandlerWithIndexes {
  handle(): void {}
}

@Projection({ name: 'with-version', version: 2 })
class HandlerWithVersion {
  handle(): void {}
}

@Reactor({ id: 'both' })
class ReactsTwice {
  handle(): void {}
  handleBatch(): void {}
}

@Reactor({ id: 'neither' })
class ReactsNever {}

@Projection({ name: 'elsewhere', store: 'billing' })
class Elsewhere {
  evolve(): void {}
}

@Reactor({ id: 'elsewhere', store: 'billing' })
class ReactsElsewhere {
  handle(): void {}
}

@Projection({ name: 'same', mode: 'inline' })
class One {
  handle(): void {}
}

@Projection({ name: 'same' })
class Two {
  handle(): void {}
}

@Reactor({ id: 'same' })
class Three {
  handle(): void {}
}

@Reactor({ id: 'same' })
class Four {
  handle(): void {}
}

describe('@Projection and @Reactor refuse', () => {
  it.each<[string, Type[], string]>([
    [
      'a projection of two kinds',
      [Both],
      'Invalid @Projection: Both has both evolve() and handle(). Keep one',
    ],
    ['a projection of no kind', [Neither], 'Neither has neither evolve() nor handle(). Add evolve('],
    ['two ways to find documents', [TwoWays], 'TwoWays has both getDocumentId() and getDocumentIds().'],
    ['documents by a class in a scope', [ScopedDocuments], 'ScopedDocuments is made anew for each request'],
    [
      'tables of documents',
      [DocumentsWithTables],
      'DocumentsWithTables has evolve(), which writes a collection',
    ],
    ['indexes of no collection', [HandlerWithIndexes], 'HandlerWithIndexes has indexes, but no collection.'],
    [
      'a version of what a handler makes',
      [HandlerWithVersion],
      'HandlerWithVersion has handle(), which makes',
    ],
    [
      'a reactor of two kinds',
      [ReactsTwice],
      'Invalid @Reactor: ReactsTwice has both handle() and handleBatch()',
    ],
    [
      'a reactor of no kind',
      [ReactsNever],
      'ReactsNever has neither handle() nor handleBatch(). Add handle(',
    ],
    [
      'a projection of an unknown store',
      [Elsewhere],
      "Elsewhere is for the event store 'billing', and there is none of that name. Import EventStoreModule.forRoot({ …, name: 'billing' }).",
    ],
    ['a reactor of an unknown store', [ReactsElsewhere], "ReactsElsewhere is for the event store 'billing'"],
    [
      'two projections of one name',
      [One, Two],
      'both projections "same" of one event store. Give one of them another name.',
    ],
    ['two reactors of one id', [Three, Four], 'both processors "same" of one event store.'],
    ['a reactor and an async projection of one id', [Two, Three], 'both processors "same"'],
  ])('%s', async (_, providers, problem) => {
    const message = await problemOf(providers);
    expect(message).toContain(problem);
    for (const { name } of providers) expect(message).toContain(name);
  });

  it('a class of the store without a name where all have one', async () => {
    expect(await problemOf([Two], [memory('main')])).toContain(
      "Two is for the event store without a name, and there is none. Give its decorator store: 'main'",
    );
  });

  it('a class that two modules provide', async () => {
    class A {}
    class B {}
    const imports = [memory(), { module: A, providers: [Two] }, { module: B, providers: [Two] }];
    expect(await problemOf([], imports)).toMatch(
      /Two \(in A\) and Two \(in B\).*Provide the class in one module/,
    );
  });

  it('the name of a projection that the module was given', async () => {
    const given = { name: 'same', handle: () => undefined };
    const imports = [EventStoreModule.forRoot({ store: 'memory', projections: [given] })];
    expect(await problemOf([One], imports)).toContain('option `projections` and One (in RootTestModule)');
  });

  it('nothing when an inline projection and a reactor have one name', async () => {
    expect(await problemOf([One, Three])).toBe('none');
  });

  it.each<[object, string]>([
    [{}, 'Invalid name: must be a string'],
    [{ name: '' }, 'Invalid name: must not be empty'],
    [{ name: 'a', mode: 'sometimes' }, "Invalid mode: must be 'inline' or 'async'."],
    [
      { name: 'a', mode: 'inline', parallelism: 2 },
      'Invalid parallelism: belongs to a consumer, and projection "a"',
    ],
  ])('the options %j', (options, problem) => {
    expect(() => Projection(options as ProjectionDecoratorOptions)).toThrow(problem);
  });

  it('an id that is none', () => {
    expect(() => Reactor({ id: 'a\0' })).toThrow('Invalid id: contains a NUL character');
  });

  it('to stand twice on a class', () => {
    class Twice {}
    Projection({ name: 'a' })(Twice);
    expect(() => Projection({ name: 'b' })(Twice)).toThrow('Twice has it twice; write a class for each.');
    Reactor({ id: 'a' })(Twice);
    expect(() => Reactor({ id: 'b' })(Twice)).toThrow('Twice has it twice');
  });
});
