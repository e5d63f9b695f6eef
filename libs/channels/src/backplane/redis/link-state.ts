import { messageOf } from '@nestbox/core';
import { Logger } from '@nestjs/common';
import type { BackplaneState, BackplaneStatus } from '../backplane.js';

export interface LinkFigures {
  /** Subscriptions that should be there, and those of which messages come. */
  known: number;
  live: number;
  /** Subscriptions that are there again, and of which the histories are not read yet. */
  catchingUp: number;
}

/** How often a link that failed is tried when nobody else does. */
const PROBE_MS = 1000;

/** Knows how the link is, by the subscriptions and by how the last command went. */
export class LinkState {
  private readonly logger = new Logger('RedisBackplane');
  private current: BackplaneState = { status: 'idle', since: new Date() };
  private figures: (() => LinkFigures) | undefined;
  private ping: () => Promise<unknown> = async () => {};
  private failure: unknown;
  private probe: NodeJS.Timeout | undefined;

  get state(): BackplaneState {
    return this.current;
  }

  open(figures: () => LinkFigures, ping: () => Promise<unknown>): void {
    this.figures = figures;
    this.ping = ping;
    this.update();
  }

  close(): void {
    this.figures = undefined;
    clearInterval(this.probe);
    this.set('idle', undefined);
  }

  /** A command was answered. */
  succeeded(): void {
    if (this.probe === undefined) return;
    clearInterval(this.probe);
    this.probe = undefined;
    this.failure = undefined;
    this.update();
  }

  /** A command failed. */
  failed(error: unknown): void {
    this.failure = error;
    if (this.figures === undefined) return;
    if (this.probe === undefined) {
      this.probe = setInterval(() => void this.check(), PROBE_MS);
      this.probe.unref();
    }
    this.update();
  }

  update(): void {
    if (this.figures === undefined) return;
    const { known, live, catchingUp } = this.figures();
    const hasFailed = this.probe !== undefined;
    const problem = hasFailed ? messageOf(this.failure) : undefined;
    if (known > live) {
      const reason = `${known - live} of ${known} subscriptions are lost`;
      this.set(live === 0 ? 'down' : 'degraded', problem === undefined ? reason : `${reason}; ${problem}`);
    } else if (hasFailed) {
      this.set(known === 0 ? 'down' : 'degraded', problem);
    } else if (catchingUp > 0) {
      this.set('degraded', 'messages that were missed are being read');
    } else {
      this.set('up', undefined);
    }
  }

  private async check(): Promise<void> {
    try {
      await this.ping();
      this.succeeded();
    } catch {
      // Still so.
    }
  }

  private set(status: BackplaneStatus, reason: string | undefined): void {
    const before = this.current;
    if (before.status === status && before.reason === reason) return;
    const since = before.status === status ? before.since : new Date();
    this.current = { status, since, ...(reason !== undefined && { reason }) };
    if (before.status === 'up' && status !== 'idle') this.logger.warn(`The link is ${status}: ${reason}.`);
    else if (status === 'up' && before.status !== 'idle') this.logger.log('The link is up again.');
  }
}
