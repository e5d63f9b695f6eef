import type { RunRow, SignalRow } from '../workflow.backend.js';
import type { Execution } from './execution.js';

/** What is over so soon is waited for in memory. */
const STAY_MS = 1_000;
/** How long a run that only waits stays in memory, for what comes right away. */
const GRACE_MS = 250;

/** Takes a run out of memory that only waits, and back in when what it waits for came meanwhile. */
export class Parking {
  /** While it is being parked; never rejects. */
  decided: Promise<void> | undefined;
  private isChecking = false;
  private idleSince: number | undefined;
  private timer: NodeJS.Timeout | undefined;

  constructor(private readonly execution: Execution) {}

  /** Looks, when the code has had its turn, whether all there is to do is to wait. */
  check(): void {
    if (this.isChecking || this.decided !== undefined) return;
    this.isChecking = true;
    setImmediate(() =>
      setImmediate(() => {
        this.isChecking = false;
        this.look();
      }),
    );
  }

  deliver(signal: SignalRow): void {
    const { waits, takenSignals } = this.execution;
    const wait = waits.find(({ signalName }) => signalName === signal.name);
    if (wait === undefined) return;
    takenSignals.add(signal.id);
    waits.delete(wait);
    wait.signalled?.(signal);
  }

  childEnded(outcome: RunRow): void {
    const { waits } = this.execution;
    const wait = waits.find(({ childId }) => childId === outcome.id);
    if (wait === undefined) return;
    waits.delete(wait);
    wait.ended?.(outcome);
  }

  private look(): void {
    const { execution } = this;
    const { isIdle, over, releasing, waits, isEnding, host } = execution;
    clearTimeout(this.timer);
    if (over || !isIdle || this.decided !== undefined) {
      this.idleSince = undefined;
      return;
    }
    if (releasing) {
      this.decided = execution.releaseNow();
      return;
    }
    if (waits.size === 0 || isEnding) return;
    const dueInMs = waits.dueInMs ?? Infinity;
    const now = performance.now();
    this.idleSince ??= now;
    if (!host.isCrowded) {
      // The timer of the wait goes on from here.
      if (dueInMs <= STAY_MS) return;
      const graceMs = this.idleSince + GRACE_MS - now;
      if (graceMs > 0) {
        this.timer = setTimeout(() => this.check(), graceMs).unref();
        return;
      }
    }
    this.idleSince = undefined;
    this.decided = this.park(dueInMs).finally(() => {
      this.decided = undefined;
    });
  }

  private async park(dueInMs: number): Promise<void> {
    const { execution } = this;
    const { signals, children } = execution.waits;
    const outcome = await execution.checkpoints.end({
      kind: 'park',
      wakeInMs: dueInMs === Infinity ? undefined : Math.ceil(dueInMs),
      signals,
      children,
    });
    if (outcome === undefined || execution.over) return;
    if (outcome.done) execution.leave('parked');
    // Something came in between, and is there to be fetched.
    else execution.host.lookForNews();
  }
}
