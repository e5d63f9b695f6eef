import type { RedisScript } from '@nestbox/redis';
import type { BackplaneMessage, HistoryPage, Position } from '../backplane.js';
import type { RedisBackplaneKeys } from './redis-backplane-keys.js';
import { READ } from './scripts.js';
import { decodeEntry } from './wire.js';

/** After so many bytes a reply ends, so that a history of large messages neither blocks Redis nor fills our memory. */
const MAX_PAGE_BYTES = 4 * 1024 * 1024;
/** Messages in a reply at the most. */
const MAX_PAGE_MESSAGES = 1000;

/** A connection that runs commands, and the scripts on it. */
interface Commands {
  hmget(key: string, ...fields: string[]): Promise<(string | null)[]>;
}

/** Reads the histories. Errors are those of Redis. */
export class RedisHistories {
  private readonly script: RedisScript;

  constructor(
    private readonly keys: RedisBackplaneKeys,
    private readonly commands: () => Commands,
    makeScript: (definition: { name: string; lua: string; numberOfKeys: number }) => RedisScript,
  ) {
    this.script = makeScript({ name: 'read a history', lua: READ, numberOfKeys: 2 });
  }

  async head(topic: string): Promise<Position | undefined> {
    const [epoch, offset] = await this.commands().hmget(this.keys.head(topic), 'epoch', 'offset');
    return epoch && offset ? { epoch, offset: Number(offset) } : undefined;
  }

  /** As many as fit into one reply; `messages` may end before the head. */
  async page(
    topic: string,
    since: Position | undefined,
    limit = MAX_PAGE_MESSAGES,
  ): Promise<HistoryPage | undefined> {
    const reply = await this.script.runBuffer(
      [this.keys.head(topic), this.keys.history(topic)],
      [since ? 1 : 0, since?.epoch ?? '', since?.offset ?? 0, Math.min(limit, 2 ** 31), MAX_PAGE_BYTES],
    );
    if (!Array.isArray(reply)) return undefined;
    const [epochBytes, offset, complete, start, entries] = reply as [
      Buffer,
      number,
      number,
      number,
      Buffer[],
    ];
    const epoch = String(epochBytes);
    const messages = entries.map((entry, i) => decodeEntry(entry, { epoch, offset: start + i }));
    return { messages, complete: complete === 1, head: { epoch, offset } };
  }

  /** All that the limit allows, with as many replies as it takes. */
  async read(topic: string, since: Position | undefined, limit: number): Promise<HistoryPage | undefined> {
    const first = await this.page(topic, since, limit);
    if (first === undefined) return undefined;
    const messages: BackplaneMessage[] = [...first.messages];
    let { complete } = first;
    for (;;) {
      const last = messages.at(-1)?.position;
      if (last === undefined || last.offset >= first.head.offset || messages.length >= limit) break;
      const next = await this.page(topic, last, limit - messages.length);
      if (next === undefined || next.messages.length === 0 || next.head.epoch !== last.epoch) break;
      complete &&= next.complete;
      // Newer ones than the head that is told belong to a later read.
      messages.push(...next.messages.filter(({ position }) => position!.offset <= first.head.offset));
    }
    return { messages, complete, head: first.head };
  }
}
