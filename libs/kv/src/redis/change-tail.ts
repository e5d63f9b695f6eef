import type { LogPosition, LoggedChange } from './change-log.js';

/** Follows the changes of all shards, and hands them over in order. Never gives up before it is closed. */
export interface ChangeTail {
  /** All changes up to this revision have been handed over, or were there before. */
  readonly horizon: bigint;
  /** This process has made a change. */
  poke(): void;
  close(): Promise<void>;
}

/** Starts a tail at the positions of the shards. */
export type OpenTail = (
  positions: readonly LogPosition[],
  onChanges: (changes: LoggedChange[]) => void,
) => ChangeTail;
