/** What a test sees of the runs of a worker, and changes in them. */
export interface ExecutionHooks {
  /** For tests: called when a step was recorded, which is written soon. */
  onRecorded?: (runId: string, stepName: string) => void;
  /** For tests: called when the record of a step was written. */
  onWritten?: (runId: string, stepName: string) => void;
  /** For tests: whether runs that only wait leave memory at once. Default: after a while. */
  parksAtOnce?: boolean;
  /** For tests: called instead of doing what is not recorded. The run is parked there, and undoes nothing. */
  onUnrecorded?: (runId: string, stepName: string) => void;
}
