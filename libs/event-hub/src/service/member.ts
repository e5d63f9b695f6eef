import type { Frame, Position } from '@nestbox/channels';

/** A message on its way to a member that is not ready for it. */
export interface Waiting {
  readonly frames: readonly Frame[];
  readonly position: Position | undefined;
}

/** More than so many messages do not wait for one member. */
export const MAX_WAITING = 1000;

/** A local channel that is subscribed to a topic. */
export class Member {
  /** What came since the member was added; undefined once it gets messages at once. */
  waiting: Waiting[] | undefined = [];
  /** Something with a position could not wait, so that it has to be read from the history. */
  hasDropped = false;
  /** Up to here it has, or shall not have, the messages of the history. */
  floor: Position | undefined;
  /** All messages of the history after this one were given to it. */
  from: Position | undefined;
  /** Whether it was taken away while somebody still held it. */
  isGone = false;

  constructor(readonly channelId: string) {}

  /** Keeps a message until {@link waiting} is sent. */
  keep(frames: readonly Frame[], position: Position | undefined): void {
    const { waiting } = this;
    if (waiting === undefined) return;
    if (waiting.length >= MAX_WAITING) {
      // The oldest: nobody was promised messages from before the subscription was made.
      if (waiting.shift()!.position !== undefined) this.hasDropped = true;
    }
    waiting.push({ frames, position });
  }

  /** Whether it has got a message of the history already; those come in order, so that the question ends by itself. */
  isBehindFloor(position: Position): boolean {
    const { floor } = this;
    if (floor === undefined || floor.epoch !== position.epoch) return false;
    if (position.offset <= floor.offset) return true;
    this.floor = undefined;
    return false;
  }
}
