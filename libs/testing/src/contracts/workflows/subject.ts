/// <reference types="jest" />
import {
  Workflow,
  WorkflowService,
  type WorkflowBackend,
  type WorkflowClass,
  type WorkflowContext,
  type WorkflowOptions,
  type WorkflowServiceOptions,
} from '@nestbox/workflows';

/** A store of runs that the contract is put to. */
export interface WorkflowContractSubject {
  /** A backend on data that is nobody else's. Each call gives one on the same data, as another process has it. */
  open: () => WorkflowBackend;
  /** Ends the lease of a worker that has crashed, as if its time had run out. */
  expire: (worker: string) => Promise<void>;
  /** Called when all backends have been closed. */
  dispose?: () => Promise<void>;
}

/** What the contract of workflow backends is tried on. */
export interface WorkflowContractOptions {
  create: () => Promise<WorkflowContractSubject>;
  /** How many random workflows are tried. Default: 30. */
  numRuns?: number;
}

export type WorkflowContractPart = (suite: WorkflowSuite) => void;

/** How a test wants its service. */
export interface ServiceOptions extends Omit<WorkflowServiceOptions, 'workflows'> {
  /** Puts something between the service and the data. */
  through?: (backend: WorkflowBackend) => WorkflowBackend;
}

/** What a test works on. Others use the same data, with other workflows. */
export interface Scene {
  /** A service that runs these workflows, as a process of its own would. It is closed when the test is over. */
  worker: (workflows: readonly Defined[], options?: ServiceOptions) => Promise<WorkflowService>;
  /** A service that runs nothing. */
  client: (options?: ServiceOptions) => Promise<WorkflowService>;
  /** Ends a service as if its process had died, and lets others see so. */
  crash: (service: WorkflowService) => Promise<void>;
  /** Lets others see that a service is gone that has crashed already. */
  bury: (worker: string | undefined) => Promise<void>;
}

interface Opened extends WorkflowContractSubject {
  services: WorkflowService[];
}

/** The subjects of a suite. Most tests share one; those that look at everything in it have one of their own. */
export class WorkflowSuite {
  private shared: Promise<Opened> | undefined;

  constructor(readonly options: WorkflowContractOptions) {}

  /** Services on the data that tests share. */
  async scene(): Promise<Scene> {
    this.shared ??= this.open();
    return sceneOf(await this.shared);
  }

  /** Services on empty data for one test. */
  async own<R>(fn: (scene: Scene) => Promise<R>): Promise<R> {
    const opened = await this.open();
    try {
      return await fn(sceneOf(opened));
    } finally {
      await closeServices(opened);
      await opened.dispose?.();
    }
  }

  async closeServices(): Promise<void> {
    if (this.shared !== undefined) await closeServices(await this.shared);
  }

  async close(): Promise<void> {
    if (this.shared === undefined) return;
    const opened = await this.shared;
    await closeServices(opened);
    await opened.dispose?.();
  }

  private async open(): Promise<Opened> {
    return { ...(await this.options.create()), services: [] };
  }
}

function sceneOf(opened: Opened): Scene {
  const make = async (workflows: readonly Defined[], options: ServiceOptions): Promise<WorkflowService> => {
    const { through, ...settings } = options;
    const backend = opened.open();
    const service = new WorkflowService(through?.(backend) ?? backend, {
      drainTimeout: '1s',
      ...settings,
      workflows: workflows.map(({ instance }) => instance),
    });
    opened.services.push(service);
    await service.init();
    return service;
  };
  const bury = async (worker: string | undefined): Promise<void> => {
    if (worker !== undefined) await opened.expire(worker);
  };
  return {
    worker: async (workflows, options = {}) => {
      const service = await make(workflows, options);
      await service.startWorker();
      return service;
    },
    client: (options = {}) => make([], options),
    crash: (service) => bury(service.crash()),
    bury,
  };
}

async function closeServices({ services }: Opened): Promise<void> {
  await Promise.all(services.splice(0).map((service) => service.close()));
}

let names = 0;

/** A name that no other test uses, such as `order-7`. */
export function unique(prefix: string): string {
  return `${prefix}-${++names}`;
}

/** A workflow of one test. */
export interface Defined<Input = unknown, Output = unknown> {
  readonly name: string;
  readonly type: WorkflowClass<Input, Output>;
  readonly instance: object;
}

/** A workflow with a name of its own, made of a function. */
export function define<Input = unknown, Output = unknown>(
  run: (context: WorkflowContext, input: Input) => Promise<Output>,
  options: Partial<WorkflowOptions> = {},
): Defined<Input, Output> {
  class Made {
    run(context: WorkflowContext, input: Input): Promise<Output> {
      return run(context, input);
    }
  }
  const { name = unique('flow') } = options;
  Workflow({ ...options, name })(Made);
  return { name, type: Made, instance: new Made() };
}

/** The error that a promise rejects with. */
export async function failureOf(promise: PromiseLike<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error('It should have failed, but did not.');
}

/** A promise, and how to settle it. */
export interface Gate<T = void> {
  readonly promise: Promise<T>;
  open: (value: T) => void;
}

export function gate<T = void>(): Gate<T> {
  let open!: (value: T) => void;
  const promise = new Promise<T>((resolve) => (open = resolve));
  return { promise, open };
}

/** Waits in the code of a step; nothing in the tests depends on how long. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Whole numbers from 0. */
export function numbers(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}
