import { loadTestcontainers } from './containers.js';
import type { ServerHost } from './server-host.js';

export interface ContainerHostOptions {
  image: string;
  command: readonly string[];
  environment?: Record<string, string>;
  /** Files to put into the container, by path. */
  files?: Record<string, string>;
  /**
   * The port of the container, and the one of this machine that leads to it. Without, the container uses this machine's
   * network, which works on Linux.
   */
  ports?: { container: number; host: number };
}

/** How long a clean stop may take before the container is killed, in seconds. */
const STOP_TIMEOUT_S = 10;

/** What we ask of a container beyond what Testcontainers offers: to hang, and to come back with its data. */
type Container = ReturnType<
  Awaited<ReturnType<(typeof import('testcontainers'))['getContainerRuntimeClient']>>['container']['getById']
>;

/** Runs a server in a container. Testcontainers removes it when this process has ended. */
export class ContainerHost implements ServerHost {
  readonly pid = undefined;
  private container: Container | undefined;
  private isUp = false;
  private isPaused = false;

  constructor(private readonly options: ContainerHostOptions) {}

  get isRunning(): boolean {
    return this.isUp;
  }

  async start(): Promise<void> {
    if (this.isUp) return;
    if (this.container === undefined) this.container = await this.create();
    else await this.container.start();
    this.isUp = true;
  }

  stop(): Promise<void> {
    return this.end((container) => container.stop({ t: STOP_TIMEOUT_S }));
  }

  kill(): Promise<void> {
    return this.end(async (container) => {
      await container.kill();
      await container.wait();
    });
  }

  async freeze(): Promise<void> {
    if (!this.isUp || this.isPaused) return;
    await this.container?.pause();
    this.isPaused = true;
  }

  async unfreeze(): Promise<void> {
    if (!this.isPaused) return;
    await this.container?.unpause();
    this.isPaused = false;
  }

  async remove(): Promise<void> {
    await this.unfreeze();
    this.isUp = false;
    await this.container?.remove({ force: true, v: true });
    this.container = undefined;
  }

  async failure(): Promise<string | undefined> {
    const { container } = this;
    if (container === undefined) return 'the container was not created.';
    const { State: state } = await container.inspect();
    if (state.Running) return undefined;
    const log = String(await container.logs({ stdout: true, stderr: true, tail: 15, follow: false }));
    return `the container ended with ${state.ExitCode}:\n${log}`;
  }

  private async end(how: (container: Container) => Promise<unknown>): Promise<void> {
    if (!this.isUp) return;
    await this.unfreeze();
    this.isUp = false;
    if (this.container !== undefined) await how(this.container);
  }

  private async create(): Promise<Container> {
    const { image, command, environment = {}, files = {}, ports } = this.options;
    const { GenericContainer, Wait, getContainerRuntimeClient } = await loadTestcontainers();
    const description = new GenericContainer(image)
      .withCommand([...command])
      .withEnvironment(environment)
      .withCopyContentToContainer(Object.entries(files).map(([target, content]) => ({ content, target })))
      // Whether the server is ready is found out by asking it.
      .withWaitStrategy(Wait.forLogMessage(/./));
    if (ports === undefined) description.withNetworkMode('host');
    else description.withExposedPorts(ports);
    const started = await description.start();
    const client = await getContainerRuntimeClient();
    return client.container.getById(started.getId());
  }
}
