import {
  Backplane,
  type AmbientTransactions,
  type BackplaneMessage,
  type BackplaneReceiver,
  type BackplaneState,
  type HistoryPage,
  type OutgoingMessage,
  type Position,
  type Retention,
} from '@nestbox/channels';

interface Kept {
  epoch: string;
  last: number;
  messages: BackplaneMessage[];
}

/** Instances in one process whose link a test holds in its hands. */
export class FakeNetwork {
  readonly backplanes = new Set<FakeBackplane>();
  readonly histories = new Map<string, Kept>();
  private epochs = 0;
  /** How many turns of the event loop something takes. */
  delay = (): number => 0;

  keep(message: BackplaneMessage, { size }: Retention): Position {
    const { topic } = message;
    let kept = this.histories.get(topic);
    if (kept === undefined) {
      kept = { epoch: `e${++this.epochs}`, last: 0, messages: [] };
      this.histories.set(topic, kept);
    }
    message.position = { epoch: kept.epoch, offset: ++kept.last };
    kept.messages.push(message);
    kept.messages.splice(0, kept.messages.length - size);
    return message.position;
  }

  async pause(): Promise<void> {
    for (let turns = this.delay(); turns > 0; turns--) await new Promise((resolve) => setImmediate(resolve));
  }
}

/** A backplane that can be told to fail, and says what it was asked. */
export class FakeBackplane extends Backplane {
  readonly backend = 'fake';
  state: BackplaneState = { status: 'up', since: new Date() };
  readonly joins = new Map<string, number>();
  readonly calls: string[] = [];
  all = 0;
  failure: Error | undefined;
  joinFailure: Error | undefined;
  openFailures = 0;
  nodeId = '';
  receiver: BackplaneReceiver | undefined;
  ambient: AmbientTransactions | undefined;
  private inbox: Promise<unknown> = Promise.resolve();
  private outbox: Promise<unknown> = Promise.resolve();

  constructor(readonly network = new FakeNetwork()) {
    super();
  }

  override get transactions(): AmbientTransactions | undefined {
    return this.ambient;
  }

  async open(nodeId: string, receiver: BackplaneReceiver): Promise<void> {
    if (this.openFailures-- > 0) throw new Error('nobody there');
    this.nodeId = nodeId;
    this.receiver = receiver;
    this.network.backplanes.add(this);
  }

  async close(): Promise<void> {
    this.calls.push('close');
    this.network.backplanes.delete(this);
  }

  async join(topic: string): Promise<void> {
    this.calls.push(`join ${topic}`);
    await this.network.pause();
    if (this.joinFailure !== undefined) throw this.joinFailure;
    this.joins.set(topic, (this.joins.get(topic) ?? 0) + 1);
  }

  leave(topic: string): void {
    this.calls.push(`leave ${topic}`);
    const left = (this.joins.get(topic) ?? 0) - 1;
    if (left > 0) this.joins.set(topic, left);
    else this.joins.delete(topic);
  }

  async joinAll(): Promise<void> {
    this.all++;
  }

  leaveAll(): void {
    this.all--;
  }

  publish(message: OutgoingMessage, retention?: Retention): Promise<Position | undefined> {
    this.calls.push(`publish ${message.topic}`);
    const sent = this.outbox.then(async () => {
      await this.network.pause();
      if (this.failure !== undefined) throw this.failure;
      const stored: BackplaneMessage = {
        ...message,
        payload: Buffer.from(message.payload),
        origin: this.nodeId,
      };
      const position = retention && this.network.keep(stored, retention);
      for (const other of this.network.backplanes) {
        if (other !== this || position !== undefined) other.take(stored);
      }
      return position;
    });
    this.outbox = sent.catch(() => undefined);
    return sent;
  }

  async head(topic: string): Promise<Position | undefined> {
    await this.network.pause();
    const kept = this.network.histories.get(topic);
    return kept && { epoch: kept.epoch, offset: kept.last };
  }

  async history(
    topic: string,
    { since, limit = 1000 }: { since?: Position; limit?: number } = {},
  ): Promise<HistoryPage | undefined> {
    await this.network.pause();
    const kept = this.network.histories.get(topic);
    if (kept === undefined) return undefined;
    const head = { epoch: kept.epoch, offset: kept.last };
    const oldest = kept.messages[0]?.position?.offset ?? kept.last + 1;
    const known = since !== undefined && since.epoch === kept.epoch;
    const after = known ? since.offset : 0;
    const found = kept.messages.filter(({ position }) => position!.offset > after);
    const messages = since === undefined ? found.slice(-limit) : found.slice(0, limit);
    return { messages, complete: (since === undefined || known) && oldest <= after + 1, head };
  }

  private take(message: BackplaneMessage): void {
    if (this.all === 0 && !this.joins.has(message.topic)) return;
    this.inbox = this.inbox.then(async () => {
      await this.network.pause();
      this.receiver?.onMessage(message);
    });
  }
}
