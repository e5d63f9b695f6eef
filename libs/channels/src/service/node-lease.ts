import { messageOf, runInRootScope } from '@nestbox/core';
import type { Logger } from '@nestjs/common';
import type { ChannelStore } from '../channel.store.js';

export interface NodeLeaseOptions {
  store: ChannelStore;
  nodeId: string;
  /** After so long without a sign of life the channels of an instance are gone, in ms. */
  leaseMs: number;
  logger: Logger;
  /** The lease was lost, and with it this instance's channels. */
  onLost: () => void;
  /** The channels of an instance that died were removed. */
  onReaped: (channelIds: readonly string[]) => Promise<void>;
}

/** How the promised time is shared out: what the row says, and how often it is renewed and others' are looked at. */
const ROW_SHARE = 0.6;
const BEAT_SHARE = 0.15;

/** Keeps an instance registered, and removes those that are not any more. */
export class NodeLease {
  private readonly rowMs: number;
  private readonly beatMs: number;
  private timer: NodeJS.Timeout | undefined;
  private beating: Promise<void> | undefined;
  private reaping: Promise<void> | undefined;
  private isRegistered = false;
  /** By the monotonic clock: the last renewal, and since when there was no failure. */
  private renewedAt = -Infinity;
  private inTouchSince: number | undefined;
  private isFailing = false;
  private isClosed = false;

  constructor(private readonly options: NodeLeaseOptions) {
    this.rowMs = Math.max(1, Math.round(options.leaseMs * ROW_SHARE));
    this.beatMs = Math.max(1, options.leaseMs * BEAT_SHARE);
  }

  /** How long ago it was renewed, in ms. */
  get ageMs(): number {
    return performance.now() - this.renewedAt;
  }

  /** Whether it may have ended by now. */
  get isOverdue(): boolean {
    return this.ageMs > this.rowMs;
  }

  /** @throws ChannelOperationError when the first beat fails */
  async start(): Promise<void> {
    await this.renew();
    runInRootScope(() => this.plan());
  }

  /** Unregisters the instance. Never rejects. */
  async close(): Promise<void> {
    this.isClosed = true;
    clearTimeout(this.timer);
    await this.beating;
    await this.reaping;
    if (!this.isRegistered) return;
    const { store, nodeId, logger } = this.options;
    try {
      await store.releaseNode(nodeId);
    } catch (error) {
      logger.warn(`This instance was not unregistered; its lease ends by itself: ${messageOf(error)}`);
    }
  }

  private plan(): void {
    if (this.isClosed) return;
    // A little earlier each time, so that instances do not beat in step.
    this.timer = setTimeout(() => this.run(), this.beatMs * (0.8 + Math.random() * 0.2)).unref();
  }

  private run(): void {
    this.beating = this.beat().finally(() => {
      this.beating = undefined;
      this.plan();
    });
  }

  /** Never rejects. */
  private async beat(): Promise<void> {
    const { logger } = this.options;
    try {
      await this.renew();
      if (this.isFailing) logger.log('The lease of this instance is renewed again.');
      this.isFailing = false;
    } catch (error) {
      this.inTouchSince = undefined;
      if (!this.isFailing && !this.isClosed) {
        logger.warn(`The lease of this instance could not be renewed; trying again: ${messageOf(error)}`);
      }
      this.isFailing = true;
    }
    if (this.isClosed || !this.mayReap()) return;
    // Not a part of the beat: the dead may have held so much that this instance's own lease would end meanwhile.
    this.reaping ??= this.reap().finally(() => {
      this.reaping = undefined;
    });
  }

  /** Never rejects. */
  private async reap(): Promise<void> {
    const { store, logger, onReaped } = this.options;
    try {
      for (const { channelIds } of await store.reap()) {
        if (channelIds.length > 0) await onReaped(channelIds);
      }
    } catch (error) {
      this.inTouchSince = undefined;
      if (this.isClosed) return;
      logger.warn(`The channels of dead instances could not be removed; trying again: ${messageOf(error)}`);
    }
  }

  private async renew(): Promise<void> {
    const { store, nodeId, onLost } = this.options;
    const sentAt = performance.now();
    const wasRegistered = await store.heartbeat(nodeId, this.rowMs);
    const answeredAt = performance.now();
    // Whoever was stopped, or waited for an answer, for so long was not in touch; others may have been no better off.
    if (answeredAt - this.renewedAt > this.rowMs) this.inTouchSince = undefined;
    this.renewedAt = sentAt;
    this.inTouchSince ??= answeredAt;
    const isLost = this.isRegistered && !wasRegistered;
    this.isRegistered = true;
    if (isLost) onLost();
  }

  /** After an outage of the store everybody shall have the time to renew before anybody is taken for dead. */
  private mayReap(): boolean {
    return this.inTouchSince !== undefined && performance.now() - this.inTouchSince >= this.rowMs;
  }
}
