import { messageOf, type JsonValue } from '@nestbox/core';
import type { Logger } from '@nestjs/common';
import type { Backplane, BackplaneMessage } from '../backplane/backplane.js';

/** What one instance asks another to do with channels that it holds. */
export type NodeOrder =
  | { do: 'send'; ids: string[]; binary: boolean }
  | { do: 'close'; ids: string[]; code: number; reason: string }
  /** It lives on another instance now, so the connection ends and the channel stays. */
  | { do: 'replace'; ids: string[] }
  | { do: 'relay'; ids: string[]; kind: string; payload: JsonValue };

const TOPIC = 'node:';

/** Orders to single instances, over the backplane. */
export class NodeBus {
  constructor(
    private readonly backplane: Backplane,
    private readonly nodeId: string,
    private readonly logger: Logger,
    private readonly obey: (order: NodeOrder, body: Buffer) => void,
    private readonly onRecovered: () => void,
  ) {}

  async open(): Promise<void> {
    await this.backplane.open(this.nodeId, {
      onMessage: (message) => this.receive(message),
      onGap: () => undefined,
      onRecovered: this.onRecovered,
    });
    await this.backplane.join(TOPIC + this.nodeId);
  }

  /** @throws BackplaneError */
  async post(nodeId: string, order: NodeOrder, body: Uint8Array = Buffer.alloc(0)): Promise<void> {
    const head = Buffer.from(JSON.stringify(order));
    const length = Buffer.alloc(4);
    length.writeUInt32BE(head.length);
    const payload = Buffer.concat([length, head, body]);
    await this.backplane.publish({ topic: TOPIC + nodeId, payload, binary: true, except: [] });
  }

  private receive({ topic, payload }: BackplaneMessage): void {
    if (topic !== TOPIC + this.nodeId) return;
    try {
      const end = 4 + payload.readUInt32BE(0);
      this.obey(JSON.parse(payload.toString('utf8', 4, end)) as NodeOrder, payload.subarray(end));
    } catch (error) {
      this.logger.error(`An order of another instance was not understood: ${messageOf(error)}`);
    }
  }
}
