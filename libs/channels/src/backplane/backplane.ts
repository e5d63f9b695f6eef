/** Where a message stands in the history of its topic. */
export interface Position {
  /** Tells one life of a history from the next: when a history is lost or expires, offsets begin anew. */
  epoch: string;
  /** Grows from message to message of a topic, not necessarily by one. 0 comes before all. A safe integer. */
  offset: number;
}

/** How much of a topic is kept. */
export interface Retention {
  /** So many of the newest messages. */
  size: number;
  /** No message for longer than this, in ms. */
  ttlMs: number;
}

/** A message to all instances. */
export interface OutgoingMessage {
  topic: string;
  /** JSON as UTF-8, or any bytes. */
  payload: Uint8Array;
  binary: boolean;
  /** Ids of the channels that shall not get it. */
  except: readonly string[];
}

/** A message as instances receive it. */
export interface BackplaneMessage extends OutgoingMessage {
  payload: Buffer;
  /** The id of the instance that published it. */
  origin: string;
  /** Present where the topic has a history. */
  position?: Position;
}

/** The messages of a topic that are kept, after a position. */
export interface HistoryPage {
  messages: BackplaneMessage[];
  /** Whether nothing is missing between `since` and the first of them: same epoch, and nothing trimmed since. */
  complete: boolean;
  /** Of the newest message of the topic, kept or not; `messages` may end before it, because of `limit`. */
  head: Position;
}

/** How well a backplane reaches the other instances. */
export type BackplaneStatus = 'idle' | 'up' | 'degraded' | 'down';

/** The status of a backplane, and since when it is so. */
export interface BackplaneState {
  /** `degraded`: messages come late. `down`: they do not come at all for now. `idle`: not opened. */
  status: BackplaneStatus;
  since: Date;
  reason?: string;
}

/** What an instance does with what it receives. None of these may throw. */
export interface BackplaneReceiver {
  /**
   * A message of a joined topic: those of other instances; where the topic has a history also one's own. Per topic in
   * order and once; with a history, in the order of offsets, also over lost connections.
   */
  onMessage(message: BackplaneMessage): void;
  /** Messages of a joined topic with a history were trimmed before they could be received. */
  onGap(topic: string, head: Position): void;
  /** The link is there again after a loss: messages of topics without a history may have been missed. */
  onRecovered(): void;
}

/** A database whose ambient transaction is that of the caller. */
export interface AmbientTransactions {
  readonly currentTransaction: { afterCommit(fn: () => void | Promise<void>): void } | undefined;
}

/**
 * Carries messages between the instances of an application. Each backend implements it; all of them pass
 * `backplaneContract` of `@nestbox/testing/contracts`.
 */
export abstract class Backplane {
  /** Names the backend in health reports, such as `redis`. */
  abstract readonly backend: string;

  /** The state of the link to the others. */
  abstract readonly state: BackplaneState;

  /** The database whose ambient transactions {@link publish} joins; undefined where it joins none. */
  get transactions(): AmbientTransactions | undefined {
    return undefined;
  }

  /**
   * Begins to receive.
   *
   * @param nodeId of this instance; `onMessage` leaves out what it published itself, but for histories
   * @throws when the backend cannot be reached; it may be called again then
   */
  abstract open(nodeId: string, receiver: BackplaneReceiver): Promise<void>;

  /** Ends what `open` began. May be called twice, and without `open`. */
  abstract close(): Promise<void>;

  /**
   * Resolves when all that is published to the topic from now on will be received. Joins are counted: each needs one
   * `leave`. Undefined where there is nothing to wait for.
   */
  abstract join(topic: string): Promise<void> | undefined;

  /**
   * Waits for what {@link join} gave. Undefined where the caller's transaction must not wait: then the wait is after its
   * commit, and belongs to it.
   */
  afterJoin(joining: Promise<void>): Promise<void> | undefined {
    return joining;
  }

  abstract leave(topic: string): void;

  /** Receives every topic from now on, for those who listen to patterns. Counted as well. */
  abstract joinAll(): Promise<void> | undefined;

  abstract leaveAll(): void;

  /**
   * Sends a message to all instances that have joined its topic. Of one caller's messages to a topic, none overtakes
   * another, also when they are not awaited one by one.
   *
   * Inside an ambient transaction of its database the message is part of the transaction; on other backends the caller
   * has to wait for the commit.
   *
   * @param retention keeps the message in the topic's history
   * @returns its position, with `retention`
   * @throws BackplaneError when it could not be sent; it may have been when the connection was lost in between
   */
  abstract publish(message: OutgoingMessage, retention?: Retention): Promise<Position | undefined>;

  /** Where the history of a topic stands; undefined when it has none. @throws BackplaneError */
  abstract head(topic: string): Promise<Position | undefined>;

  /**
   * Reads the history of a topic, oldest first.
   *
   * @param options.since only messages after it; without it, all that are kept. Of another epoch: all that are kept,
   *   and `complete` is false
   * @param options.limit at most so many, the newest ones without `since`, else the oldest. Default: 1,000
   * @returns undefined when the topic has no history
   * @throws BackplaneError
   */
  abstract history(
    topic: string,
    options?: { since?: Position; limit?: number },
  ): Promise<HistoryPage | undefined>;
}
