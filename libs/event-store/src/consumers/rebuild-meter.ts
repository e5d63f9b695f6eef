import { Logger } from '@nestjs/common';
import type { RebuildProgress } from './consumer.types.js';

const logger = new Logger('NestboxEventStore');

/** How often a rebuild writes a line to the log. */
const LOG_EVERY_MS = 5_000;
/** How often it looks where the log ends by now. */
const HEAD_EVERY_MS = 1_000;

/** Tells how far a rebuild is. */
export class RebuildMeter {
  events = 0;
  private head = 0n;
  private readonly beganAt = performance.now();
  private headAt = -Infinity;
  private loggedAt = performance.now();

  constructor(
    private readonly projection: string,
    private readonly onProgress: ((progress: RebuildProgress) => void) | undefined,
  ) {}

  add(events: number): void {
    this.events += events;
  }

  async tell(position: bigint, head: () => Promise<bigint>): Promise<void> {
    const now = performance.now();
    if (now - this.headAt >= HEAD_EVERY_MS) {
      this.head = await head();
      this.headAt = now;
    }
    const progress = this.progress('building', position);
    this.onProgress?.(progress);
    if (now - this.loggedAt < LOG_EVERY_MS) return;
    this.loggedAt = now;
    logger.log(lineOf(progress));
  }

  switching(position: bigint): void {
    this.onProgress?.(this.progress('switching', position));
  }

  end(position: bigint): void {
    const progress = this.progress('done', position);
    this.onProgress?.({ ...progress, remainingMs: 0 });
    logger.log(
      `Rebuilt projection "${this.projection}" from ${this.events} events in ${seconds(performance.now() - this.beganAt)}.`,
    );
  }

  private progress(phase: RebuildProgress['phase'], position: bigint): RebuildProgress {
    const elapsedMs = performance.now() - this.beganAt;
    const left = this.head > position ? Number(this.head - position) : 0;
    const perMs = elapsedMs > 0 ? Number(position) / elapsedMs : 0;
    return {
      projection: this.projection,
      phase,
      events: this.events,
      position,
      head: this.head > position ? this.head : position,
      eventsPerSecond: elapsedMs > 0 ? Math.round((this.events / elapsedMs) * 1_000) : 0,
      remainingMs: perMs > 0 ? Math.round(left / perMs) : undefined,
    };
  }
}

function lineOf({
  projection,
  events,
  position,
  head,
  eventsPerSecond,
  remainingMs,
}: RebuildProgress): string {
  const percent = head === 0n ? 100 : Number((position * 100n) / head);
  const left = remainingMs === undefined ? '' : `, ${seconds(remainingMs)} left`;
  return `Rebuilding projection "${projection}": ${events} events (${percent} %), ${eventsPerSecond}/s${left}.`;
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}
