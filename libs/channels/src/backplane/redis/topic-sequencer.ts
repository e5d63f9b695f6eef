import type { BackplaneMessage, HistoryPage, Position } from '../backplane.js';

export type PositionedMessage = BackplaneMessage & { position: Position };

/** What a {@link TopicSequencer} works with. */
export interface SequencerHost {
  deliver(message: BackplaneMessage): void;
  gap(head: Position): void;
  /** What the history has after a position; `messages` may end before the head. Undefined when there is no history. */
  read(since: Position): Promise<HistoryPage | undefined>;
  /** Waits after a read that failed, so many in a row. */
  pause(attempt: number): Promise<void>;
}

/** What is kept back at the most while the history is read; what is beyond is read from the history as well. */
const MAX_HELD = 1000;
const MAX_HELD_BYTES = 8 * 1024 * 1024;
/** No history has this epoch. */
const BEFORE_ALL: Position = { epoch: '', offset: 0 };

/**
 * Delivers the messages of one topic in the order of their offsets, each once, whatever is lost, comes twice or out of
 * order on the way: a message that is not the next one is held back until the history was read up to it.
 */
export class TopicSequencer {
  /** The position of the message that was delivered last. */
  private at: Position = BEFORE_ALL;
  private isStarted = false;
  private isClosed = false;
  private held: PositionedMessage[] = [];
  private heldBytes = 0;
  /** Messages without a position that came while others were held, each with the newest offset that was. */
  private plain: { message: BackplaneMessage; behind: number }[] = [];
  private reading: Promise<void> | undefined;
  /** Whether what is read now may not be all. */
  private again = false;
  /** Whether messages of the current epoch may have been lost, as far as it is known before the history is read. */
  private isUncertain = false;

  constructor(private readonly host: SequencerHost) {}

  /** Fixes what comes next: everything after the head, or everything where there is no history yet. */
  start(head: Position | undefined): void {
    if (this.isStarted) return;
    this.isStarted = true;
    this.at = head ?? BEFORE_ALL;
    const { held } = this;
    this.release([]);
    for (const message of held) this.offer(message);
    if (this.again) this.wake();
    if (this.reading === undefined) this.passPlain(Infinity);
  }

  /** A message has come; before {@link start} it is held. */
  offer(message: PositionedMessage): void {
    if (this.isClosed) return;
    const { epoch, offset } = message.position;
    if (this.isStarted && epoch === this.at.epoch) {
      if (offset <= this.at.offset && this.reading === undefined) return;
      if (offset === this.at.offset + 1 && this.reading === undefined) return this.deliver(message);
    }
    this.hold(message);
    this.wake();
  }

  /** A message of the topic that is in no history. It does not overtake those that came before it. */
  pass(message: BackplaneMessage): void {
    if (this.isClosed) return;
    const offsets = this.held.map(({ position }) => position.offset);
    if (this.plain.length === 0 && offsets.length === 0) return this.host.deliver(message);
    this.plain.push({ message, behind: Math.max(0, ...offsets) });
    if (this.plain.length > MAX_HELD) this.passPlain(Infinity);
  }

  /** The link is lost. */
  interrupt(): void {
    this.isUncertain = true;
  }

  /** Reads what may have been missed. Resolves when it is delivered. Never rejects. */
  async catchUp(): Promise<void> {
    this.again = true;
    this.wake();
    await this.reading;
  }

  close(): void {
    this.isClosed = true;
    this.plain = [];
    this.release([]);
  }

  private hold(message: PositionedMessage): void {
    if (this.held.length >= MAX_HELD || this.heldBytes >= MAX_HELD_BYTES) {
      this.again = true;
      return;
    }
    this.held.push(message);
    this.heldBytes += message.payload.length;
  }

  private release(rest: PositionedMessage[]): void {
    this.held = rest;
    this.heldBytes = rest.reduce((sum, { payload }) => sum + payload.length, 0);
  }

  private deliver(message: PositionedMessage): void {
    this.at = message.position;
    this.host.deliver(message);
    this.passPlain(message.position.offset);
  }

  private passPlain(upTo: number): void {
    for (let next = this.plain[0]; next !== undefined && next.behind <= upTo; next = this.plain[0]) {
      this.plain.shift();
      this.host.deliver(next.message);
    }
  }

  private wake(): void {
    if (this.isStarted && !this.isClosed) this.reading ??= this.run();
  }

  private async run(): Promise<void> {
    let failures = 0;
    do {
      this.again = false;
      const before = this.held.length;
      const wasUncertain = this.isUncertain;
      this.isUncertain = false;
      try {
        const page = await this.host.read(this.at);
        failures = 0;
        if (!this.isClosed) this.take(page, before, wasUncertain);
      } catch {
        this.again = true;
        this.isUncertain ||= wasUncertain;
        await this.host.pause(++failures);
      }
    } while (this.again && !this.isClosed);
    this.reading = undefined;
    this.passPlain(Infinity);
  }

  /**
   * @param before how many of those that are held had come before the history was read. If they are of another epoch
   *   than the history, it is one that has ended.
   */
  private take(page: HistoryPage | undefined, before: number, wasUncertain: boolean): void {
    const head = page?.head ?? this.newestHeld();
    if (head === undefined) {
      // The history has expired. What it had last may have been missed; that is told with the next message.
      this.isUncertain ||= wasUncertain;
      this.release([]);
      return;
    }
    // Those that came since are perhaps of a newer epoch than what was read.
    const isOther = ({ position }: PositionedMessage, i: number): boolean =>
      page !== undefined && i >= before && position.epoch !== head.epoch;
    const others = this.held.filter(isOther);
    let isMissed = false;
    if (head.epoch !== this.at.epoch) {
      const { at } = this;
      const isLeftOver = this.held.some(
        (message, i) =>
          !isOther(message, i) && message.position.epoch !== head.epoch && isLater(message.position, at),
      );
      isMissed = isLeftOver || (at !== BEFORE_ALL && wasUncertain);
      this.at = { epoch: head.epoch, offset: 0 };
    } else if (page === undefined) {
      this.isUncertain ||= wasUncertain;
    } else if (head.offset < this.at.offset) {
      // A failover has lost what was delivered already.
      isMissed = true;
      this.at = head;
    }
    const messages = new Map<number, PositionedMessage>();
    for (const message of [...(page?.messages ?? []), ...this.held]) {
      if (isPositioned(message) && isAfter(message.position, this.at)) {
        messages.set(message.position.offset, message);
      }
    }
    const lastRead = page?.messages.at(-1)?.position?.offset;
    const readUpTo = lastRead ?? head.offset;
    const rest = this.walk([...messages.values()], head, readUpTo, isMissed);
    this.release([...rest, ...others]);
    if (rest.length > 0 || others.length > 0 || this.at.offset < head.offset) this.again = true;
  }

  /** Delivers what can be. @returns what has to wait until the history was read further */
  private walk(
    messages: PositionedMessage[],
    head: Position,
    readUpTo: number,
    isMissed: boolean,
  ): PositionedMessage[] {
    const tell = (): void => {
      if (!isMissed) this.host.gap(head);
      isMissed = true;
    };
    if (isMissed) this.host.gap(head);
    const ordered = messages.toSorted((a, b) => a.position.offset - b.position.offset);
    for (const [i, message] of ordered.entries()) {
      if (this.isClosed) return [];
      const { offset } = message.position;
      if (offset !== this.at.offset + 1) {
        // Those between were not published yet when the history was read, or are on the next page.
        if (offset - 1 > readUpTo) return ordered.slice(i);
        tell();
      }
      this.deliver(message);
    }
    if (!this.isClosed && readUpTo === head.offset && this.at.offset < head.offset) {
      tell();
      this.at = head;
    }
    return [];
  }

  /** Where the history was, as far as can be told by what came. */
  private newestHeld(): Position | undefined {
    let newest: Position | undefined;
    for (const { position } of this.held) {
      if (isLater(position, newest ?? this.at)) newest = position;
    }
    return newest;
  }
}

function isAfter(position: Position, other: Position): boolean {
  return position.epoch === other.epoch && position.offset > other.offset;
}

/**
 * Also across epochs, which begin with a time. Clocks may be set back, so this decides only where there is no history
 * any more.
 */
function isLater(position: Position, other: Position): boolean {
  const [a, b] = [position.epoch, other.epoch];
  if (a === b) return position.offset > other.offset;
  return a.length === b.length ? a > b : a.length > b.length;
}

function isPositioned(message: BackplaneMessage): message is PositionedMessage {
  return message.position !== undefined;
}
