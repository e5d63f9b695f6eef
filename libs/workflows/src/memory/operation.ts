import { RowLayer, type RowTable } from '@nestbox/core';

/** Numbers that grow, and are not taken back when a transaction is rolled back. */
export class Sequences {
  private claim = 0n;
  private signal = 0n;
  private turn = 0;

  nextClaim(): bigint {
    return ++this.claim;
  }

  nextSignal(): bigint {
    return ++this.signal;
  }

  /** Tells those apart that became ready at the same time. */
  nextTurn(): number {
    return ++this.turn;
  }
}

/** Who has to be woken. */
export interface Notices {
  /** There are runs to claim, or there will be. */
  ready: boolean;
  /** Runs have ended. */
  ended: boolean;
  /** There is news for these. */
  readonly workers: Set<string>;
}

/** One call to the backend: all of what it writes, or nothing. */
export class Operation extends RowLayer {
  readonly notices: Notices = { ready: false, ended: false, workers: new Set() };

  constructor(
    below: RowLayer,
    /** In ms since 1970. */
    readonly now: number,
    readonly sequences: Sequences,
    /** Whether a row belongs to a transaction that is not over. */
    readonly isLocked: <Row>(table: RowTable<Row>, key: string) => boolean,
  ) {
    super(below);
  }

  /** As rows have it. */
  get nowMs(): number {
    return Math.floor(this.now);
  }
}
