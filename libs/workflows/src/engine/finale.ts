import { decodeValue, encodeError } from '../values/typed-value.js';
import type { Encoded, Ending, RunEnd } from '../workflow.backend.js';
import type { RunStatus } from '../workflow.types.js';
import type { Execution } from './execution.js';

/** Why a run is being wound up. */
export interface Winding {
  readonly ending: Ending;
  readonly error: unknown;
}

/** Ends a run whose code has returned or thrown. */
export class Finale {
  constructor(private readonly execution: Execution) {}

  async returned(output: unknown): Promise<void> {
    const { execution } = this;
    await execution.quiet();
    if (execution.journal.left > 0) await execution.caughtUp();
    if (execution.over) return;
    if (execution.winding !== undefined) return this.windUp(execution.winding);
    let encoded: Encoded;
    try {
      encoded = execution.encode(output, 'output', 'The result of the run');
    } catch (error) {
      return this.threw(error);
    }
    const outcome = await execution.checkpoints.end({ kind: 'completed', output: encoded });
    // As others will read it.
    if (outcome?.done === true) execution.finish('completed', decodeValue(JSON.parse(encoded)), undefined);
    else await this.windUpAfter();
  }

  async threw(error: unknown): Promise<void> {
    const { execution } = this;
    if (execution.winding === undefined && execution.journal.left > 0) await execution.caughtUp();
    if (!execution.over && execution.winding === undefined) {
      // Branches that are still at it have nobody any more to wait for them.
      execution.controller.abort(error);
      execution.waits.rejectAll(error);
    }
    await execution.quiet();
    if (execution.over) return;
    if (execution.winding !== undefined) return this.windUp(execution.winding);
    const encoded = encodeError(error);
    const end: RunEnd = execution.compensations.isEmpty
      ? { kind: 'ended', status: 'failed', error: encoded }
      : { kind: 'failing', error: encoded };
    const outcome = await execution.checkpoints.end(end);
    if (outcome?.done !== true) return this.windUpAfter();
    if (end.kind === 'ended') execution.finish('failed', undefined, decodeValue(JSON.parse(encoded)));
    else await this.windUp({ ending: 'failed', error });
  }

  /** Its end was not written: somebody has cancelled it, or it is ours no more. */
  private async windUpAfter(): Promise<void> {
    const { execution } = this;
    if (execution.winding !== undefined && !execution.over) await this.windUp(execution.winding);
    else execution.lose();
  }

  /** Undoes what has to be undone, and ends it. */
  private async windUp(winding: Winding): Promise<void> {
    const { execution } = this;
    execution.winding ??= winding;
    await execution.compensations.run();
    if (execution.over) return;
    const status: RunStatus = winding.ending === 'failed' ? 'failed' : 'cancelled';
    const error = encodeError(winding.error);
    const outcome = await execution.checkpoints.end({ kind: 'ended', status, error });
    if (outcome?.done === true) execution.finish(status, undefined, decodeValue(JSON.parse(error)));
    else execution.lose();
  }
}
