import { Workflow, WorkflowModule } from '@nestbox/workflows';
import { Injectable, Scope, type Type } from '@nestjs/common';
import { Apps } from './support/start-app.js';

const apps = new Apps();
afterEach(() => apps.close());

const memory = (name?: string) => WorkflowModule.forRoot({ store: 'memory', name });

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

@Workflow({ name: 'same' })
class One {
  async run(): Promise<void> {}
}

@Workflow({ name: 'same' })
class Two {
  async run(): Promise<void> {}
}

@Workflow({ name: 'elsewhere', store: 'billing' })
class Elsewhere {
  async run(): Promise<void> {}
}

@Workflow({ name: 'scoped' })
@Injectable({ scope: Scope.REQUEST })
class Scoped {
  async run(): Promise<void> {}
}

@Workflow({ name: 'transient' })
@Injectable({ scope: Scope.TRANSIENT })
class Transient {
  async run(): Promise<void> {}
}

@Injectable({ scope: Scope.REQUEST })
class PerRequest {}

@Workflow({ name: 'bubbling' })
class Bubbling {
  constructor(readonly perRequest: PerRequest) {}
  async run(): Promise<void> {}
}

@Workflow({ name: 'lazy' })
class Lazy {}

describe('WorkflowModule refuses', () => {
  it.each<[string, Type[], string]>([
    ['two classes of one name', [One, Two], 'are both workflow "same". Give one of them another name.'],
    [
      'a class of an unknown module',
      [Elsewhere],
      "Elsewhere is for the workflow module 'billing', and there is none of that name. Import WorkflowModule.forRoot({ …, name: 'billing' }).",
    ],
    ['a class for each request', [Scoped], 'Scoped is made anew for each request'],
    ['a transient class', [Transient], 'Transient is made anew for each request or for each who injects it'],
    ['a class that injects what is for each request', [PerRequest, Bubbling], 'Bubbling is made anew'],
    ['a class without run', [Lazy], 'Lazy has no method run(context, input). Add it.'],
  ])('%s', async (_, providers, problem) => {
    expect(await problemOf(providers)).toContain(problem);
  });

  it('a class of the module without a name where all have one', async () => {
    expect(await problemOf([One], [memory('main')])).toContain(
      "One is for the workflow module without a name, and there is none. Give its decorator store: 'main'",
    );
  });

  it('a class that two modules provide', async () => {
    class A {}
    class B {}
    const imports = [memory(), { module: A, providers: [One] }, { module: B, providers: [One] }];
    expect(await problemOf([], imports)).toMatch(
      /One \(in A\) and One \(in B\) are both workflow "same"\. Provide the class in one module/,
    );
  });

  it('nothing when two classes of one name are for different modules', async () => {
    @Workflow({ name: 'same', store: 'billing' })
    class Three extends One {}
    expect(await problemOf([One, Three], [memory(), memory('billing')])).toBe('none');
  });
});
