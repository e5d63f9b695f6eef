/// <reference types="jest" />
import type { Backplane, BackplaneMessage, OutgoingMessage, Position } from '@nestbox/channels';

/** A backend that the contract is put to. */
export interface BackplaneContractSubject {
  /** Makes another instance on the same data, on which `open` was not called yet. The suite closes it. */
  open: () => Promise<Backplane>;
  /** Called when all instances have been closed. */
  dispose?: () => Promise<void>;
}

/** What the contract of backplanes is tried on. */
export interface BackplaneContractOptions {
  create: () => Promise<BackplaneContractSubject>;
}

/** The part of the contract that is about one thing. */
export type BackplaneContractPart = (suite: BackplaneSuite) => void;

/** An opened instance, and what it has received. */
export interface Instance {
  nodeId: string;
  backplane: Backplane;
  messages: BackplaneMessage[];
  gaps: [string, Position][];
  /** The payloads of a topic's messages, as text. */
  texts(topic: string): string[];
}

export const KEEP = { size: 10_000, ttlMs: 60_000 };

let names = 0;

/** The instances of a suite, all on the same data; each test has topics of its own. */
export class BackplaneSuite {
  private shared: Promise<BackplaneContractSubject> | undefined;
  private opened: Backplane[] = [];

  constructor(private readonly options: BackplaneContractOptions) {}

  /** An instance that is not opened. */
  async unopened(): Promise<Backplane> {
    this.shared ??= this.options.create();
    const backplane = await (await this.shared).open();
    this.opened.push(backplane);
    return backplane;
  }

  async instance(onMessage?: (message: BackplaneMessage) => void): Promise<Instance> {
    const backplane = await this.unopened();
    const messages: BackplaneMessage[] = [];
    const gaps: [string, Position][] = [];
    const nodeId = `node-${++names}`;
    await backplane.open(nodeId, {
      onMessage: (message) => {
        messages.push(message);
        onMessage?.(message);
      },
      onGap: (topic, head) => gaps.push([topic, head]),
      onRecovered: () => undefined,
    });
    const texts = (topic: string): string[] =>
      messages.filter((message) => message.topic === topic).map(({ payload }) => payload.toString());
    return { nodeId, backplane, messages, gaps, texts };
  }

  /** A topic that no other test uses. */
  topic(name = 'topic'): string {
    return `${name} ${++names}`;
  }

  async closeInstances(): Promise<void> {
    await Promise.all(this.opened.splice(0).map((backplane) => backplane.close()));
  }

  async close(): Promise<void> {
    await this.closeInstances();
    await (await this.shared)?.dispose?.();
  }
}

export function text(topic: string, payload: string | number, except: string[] = []): OutgoingMessage {
  return { topic, payload: Buffer.from(String(payload)), binary: false, except };
}
