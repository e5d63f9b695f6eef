import { runInRootScope } from '@nestbox/core';
import { Lifecycle, assertLimit, naming } from '../adapter-support.js';
import { LocalLeases } from './local-leases.js';
import { LocalState, type LocalLimits, type Snapshot } from './local-state.js';

/** Expired entries that one sweep removes, so that it does not hold up everything else. */
const SWEEP_LIMIT = 1000;
const MIN_SWEEP_DELAY_MS = 25;
/** setTimeout turns longer delays into none. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

/** What a store that lives in this process may be told. */
export interface LocalAdapterOptions {
  /** Versions of a key that `history` keeps, with versioning enabled. Default: 1,000. */
  maxHistory?: number;
  /** Changes that a watcher may be behind before it is told that it missed some. Default: 20,000. */
  maxChanges?: number;
}

/** Opens, saves, sweeps and closes the state of a store that lives in this process. */
export abstract class LocalHost {
  protected readonly limits: LocalLimits;
  private readonly lifecycle: Lifecycle;
  protected opened: { state: LocalState; leases: LocalLeases } | undefined;
  private sweepTimer: NodeJS.Timeout | undefined;
  private sweepAt = Infinity;

  constructor(
    private readonly what: string,
    { maxHistory = 1000, maxChanges = 20_000 }: LocalAdapterOptions,
  ) {
    assertLimit(maxHistory, 'maxHistory');
    assertLimit(maxChanges, 'maxChanges');
    this.limits = { maxHistory, maxChanges };
    this.lifecycle = new Lifecycle(
      what,
      () => this.start(),
      () => this.stop(),
    );
  }

  /** The state to begin with. */
  protected abstract load(): Promise<Snapshot>;
  /** Called once the state is there. */
  protected loaded(_state: LocalState): void {}
  /** Resolves when the changes made so far are safe; undefined where there is nothing to wait for. */
  protected abstract save(state: LocalState): Promise<void> | undefined;
  /** Like {@link save} for what nobody waits for. */
  protected abstract saveLater(state: LocalState): void;
  /** Gives up what `load` has opened, once everything is saved. Also called when `load` was not, or failed. */
  protected abstract unload(): Promise<void>;

  /** Rejects when what `load` has opened can no longer be used. */
  protected probe(): Promise<void> {
    return Promise.resolve();
  }

  async init(): Promise<void> {
    await naming('open the store', async () => this.lifecycle.ready());
  }

  close(): Promise<void> {
    return this.lifecycle.close();
  }

  async ping(): Promise<number> {
    const started = performance.now();
    await this.init();
    await naming('ping the store', () => this.probe());
    return performance.now() - started;
  }

  /** The state, when it is there already. @throws ClosedError */
  protected now(): LocalState | undefined {
    return this.lifecycle.ready() === undefined ? this.opened!.state : undefined;
  }

  protected async later(operation: string): Promise<LocalState> {
    await naming(operation, async () => this.lifecycle.ready());
    return this.opened!.state;
  }

  /** Makes a change; it takes effect at once, and is safe when this resolves. */
  protected async change<R>(operation: string, fn: (state: LocalState, now: number) => R): Promise<R> {
    const state = this.now() ?? (await this.later(operation));
    const result = fn(state, Date.now());
    const saving = this.save(state);
    if (saving !== undefined) await naming(operation, () => saving);
    this.scheduleSweep(state);
    return result;
  }

  private async start(): Promise<void> {
    const state = new LocalState(this.what, await this.load(), this.limits);
    const leases = new LocalLeases(this.what, () => state.nextLease());
    this.opened = { state, leases };
    this.loaded(state);
    this.scheduleSweep(state);
  }

  private async stop(): Promise<void> {
    clearTimeout(this.sweepTimer);
    this.opened?.state.changes.close();
    this.opened?.leases.close();
    await this.unload();
  }

  private scheduleSweep(state: LocalState): void {
    const at = state.nextSweep;
    if (at >= this.sweepAt || this.lifecycle.isClosed) return;
    clearTimeout(this.sweepTimer);
    this.sweepAt = at;
    const delay = Math.min(Math.max(at - Date.now(), MIN_SWEEP_DELAY_MS), MAX_TIMEOUT_MS);
    this.sweepTimer = runInRootScope(() => setTimeout(() => this.sweep(state), delay));
    this.sweepTimer.unref();
  }

  private sweep(state: LocalState): void {
    this.sweepAt = Infinity;
    state.sweep(Date.now(), SWEEP_LIMIT);
    this.saveLater(state);
    this.scheduleSweep(state);
  }
}
