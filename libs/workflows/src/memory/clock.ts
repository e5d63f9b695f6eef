/** What time it is for the memory backend: its "clock of the database". */
export interface WorkflowClock {
  /** In ms since 1970. It never goes back. */
  now(): number;
  /** Calls the listener after each time that it went on by a leap. */
  onSkip?(listener: () => void): Disposable;
}

/** The time of day, by a clock that is not set while the process runs. */
export const systemClock: WorkflowClock = {
  now: () => performance.timeOrigin + performance.now(),
};
