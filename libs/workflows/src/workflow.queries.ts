import type { RunStatus } from './workflow.types.js';

/** Which runs a backend looks for, and how many. */
export interface RunQuery {
  readonly ids?: readonly string[] | undefined;
  readonly workflow?: string | undefined;
  readonly statuses?: readonly RunStatus[] | undefined;
  readonly queue?: string | undefined;
  readonly parentId?: string | undefined;
  readonly fromMs?: number | undefined;
  readonly toMs?: number | undefined;
  readonly search?: string | undefined;
  /** The last one of the page before; the newest come first. */
  readonly before?: { readonly createdAtMs: number; readonly id: string } | undefined;
  readonly limit: number;
}

/** How many runs there are in each state, for the health report. */
export interface Figures {
  readonly ready: number;
  readonly claimed: number;
  readonly parked: number;
  readonly stuck: number;
  readonly dead: number;
  /** The age of the run that has been ready for longest, in ms. */
  readonly oldestReadyMs: number | undefined;
}
