import { randomUUID } from 'node:crypto';
import type { BackplaneMessage, HistoryPage, Position, Retention } from '../backplane.js';

interface Kept {
  message: BackplaneMessage & { position: Position };
  /** By the monotonic clock. */
  at: number;
}

interface History {
  epoch: string;
  offset: number;
  retention: Retention;
  kept: Kept[];
}

/** What instances in one process have in common: who is there, and the histories. */
export class MemoryNetwork {
  private readonly listeners = new Set<(message: BackplaneMessage) => void>();
  private readonly histories = new Map<string, History>();

  /** @internal */
  connect(listener: (message: BackplaneMessage) => void): void {
    this.listeners.add(listener);
  }

  /** @internal */
  disconnect(listener: (message: BackplaneMessage) => void): void {
    this.listeners.delete(listener);
  }

  /** @internal */
  send(message: BackplaneMessage, retention: Retention | undefined): Position | undefined {
    const stored = retention === undefined ? message : this.keep(message, retention);
    for (const listener of this.listeners) listener(stored);
    return stored.position;
  }

  /** @internal */
  head(topic: string): Position | undefined {
    const history = this.current(topic);
    return history && { epoch: history.epoch, offset: history.offset };
  }

  /** @internal */
  read(topic: string, since: Position | undefined, limit: number): HistoryPage | undefined {
    const history = this.current(topic);
    if (history === undefined) return undefined;
    const { epoch, offset, kept } = history;
    const head = { epoch, offset };
    if (since === undefined) {
      return { messages: kept.slice(-limit).map(({ message }) => message), complete: true, head };
    }
    const isKnown = since.epoch === epoch && since.offset <= offset;
    const after = isKnown ? since.offset : 0;
    const oldest = kept[0]?.message.position.offset ?? offset + 1;
    const newer = kept.filter(({ message }) => message.position.offset > after);
    return {
      messages: newer.slice(0, limit).map(({ message }) => message),
      complete: isKnown && oldest <= after + 1,
      head,
    };
  }

  private keep(message: BackplaneMessage, retention: Retention): BackplaneMessage {
    const { topic } = message;
    let history = this.current(topic);
    if (history === undefined) {
      history = { epoch: randomUUID(), offset: 0, retention, kept: [] };
      this.histories.set(topic, history);
    }
    history.retention = retention;
    const stored = { ...message, position: { epoch: history.epoch, offset: ++history.offset } };
    history.kept.push({ message: stored, at: performance.now() });
    this.trim(history);
    return stored;
  }

  /** The history without what is too old; it ends with its last message, as on the other backends. */
  private current(topic: string): History | undefined {
    const history = this.histories.get(topic);
    if (history === undefined) return undefined;
    this.trim(history);
    if (history.kept.length > 0) return history;
    this.histories.delete(topic);
    return undefined;
  }

  private trim({ kept, retention: { size, ttlMs } }: History): void {
    const oldest = performance.now() - ttlMs;
    let count = Math.max(0, kept.length - size);
    while (count < kept.length && kept[count]!.at <= oldest) count++;
    if (count > 0) kept.splice(0, count);
  }
}
