import { NestboxError, backoffMs, messageOf } from '@nestbox/core';
import { Logger } from '@nestjs/common';
import type { StoredMessage } from '../event-store.backend.js';
import { ProjectionFailedError } from '../event-store.errors.js';
import type { ReactorContext } from './consumer.types.js';
import type { Done, EventWork } from './event-work.js';
import type { CheckpointKey, ProcessorLease } from './processor.backend.js';
import { pause } from './pause.js';
import type { ProcessorSettings } from './processor-options.js';
import type { RunnerSurroundings } from './shard-runner.js';

const logger = new Logger('NestboxEventStore');

/** How long the backend has to answer before it counts as out of reach. */
const PING_MS = 2_000;

/** The checkpoint is not where it was left: it was reset, or rebuilt. What was done since takes no effect. */
export class CheckpointMovedError extends NestboxError {
  readonly code = 'CHECKPOINT_MOVED';

  constructor({ processorId }: CheckpointKey) {
    super(`The checkpoint of processor "${processorId}" was changed by somebody else.`);
  }
}

/** A handler has thrown; `cause` is what. */
class HandlerFailure extends Error {
  constructor(cause: unknown) {
    super('handler failed', { cause });
  }
}

/** Has messages handled, moves the checkpoint, and does what is to be done when a handler fails. */
export class BatchRunner {
  /** Whether a handler has asked for the processor to end. */
  hasStopped = false;
  private hasFailed = false;
  private readonly signal: AbortSignal;

  constructor(
    private readonly around: RunnerSurroundings,
    private readonly settings: ProcessorSettings,
    private readonly work: EventWork,
    private readonly key: CheckpointKey,
    private readonly lease: ProcessorLease,
  ) {
    this.signal = AbortSignal.any([lease.signal, around.aborting]);
  }

  /**
   * Handles messages in order, and moves the checkpoint behind the last that was handled or parked.
   *
   * @returns the checkpoint's position
   * @throws CheckpointMovedError; LeaseExpiredError; the backend's own errors
   */
  async handle(messages: readonly StoredMessage[], from: bigint): Promise<bigint> {
    this.hasFailed = false;
    // They were read in vain if the lease ran out meanwhile.
    if (this.isEnding) return from;
    const done = this.begin();
    try {
      return await this.attempt(messages, from, 1, done);
    } catch (error) {
      const failure = await this.handlerFailure(error);
      // Those before it were handled, one by one.
      const handled = this.work.isTransactional ? 0 : done.count;
      let position = handled === 0 ? from : await this.save(from, messages[handled - 1]!.globalPosition);
      const wasAlone = handled > 0 || messages.length === 1;
      for (let i = handled; i < messages.length && !this.isEnding; i++) {
        // Not known to be tried before if it was one of a batch.
        const tried = i === handled && wasAlone ? failure : undefined;
        position = await this.single(messages[i]!, position, tried);
      }
      return position;
    }
  }

  /** Moves the checkpoint over events that are not for this processor. */
  async skip(from: bigint, to: bigint): Promise<void> {
    await this.save(from, to);
  }

  /** Handles parked messages again that somebody asked for. @returns whether there may be more of them */
  async replay(position: bigint, limit: number): Promise<boolean> {
    const { processors } = this.around.backend;
    const parked = await processors.replays(this.key, limit);
    for (const { message, attempts, requests } of parked) {
      if (this.isEnding) return false;
      try {
        await this.inTransaction(async () => {
          // Under the lease, though the position stays.
          if (this.work.isTransactional) await this.save(position, position);
          await this.call([message], attempts + 1, this.begin());
          await processors.unpark(this.key, message.globalPosition);
        });
        logger.log(
          `Processor "${this.key.processorId}" has handled parked message ${message.globalPosition}.`,
        );
      } catch (error) {
        const { cause } = await this.handlerFailure(error);
        await this.park(message, attempts + 1, cause, requests);
      }
    }
    return parked.length === limit;
  }

  private get isEnding(): boolean {
    return this.hasStopped || this.hasFailed || this.around.stopping.aborted || !this.lease.held;
  }

  private begin(): Done {
    // A process that hung finds its lease over before the timer that aborts the signal gets its turn.
    const isStopping = (): boolean => this.around.stopping.aborted || !this.lease.held;
    return { count: 0, stop: false, isStopping };
  }

  /** One message until it is handled, parked, or the processor has failed. @returns the checkpoint's position */
  private async single(
    message: StoredMessage,
    from: bigint,
    tried: HandlerFailure | undefined,
  ): Promise<bigint> {
    let failure = tried;
    for (let attempt = failure === undefined ? 1 : 2; ; attempt++) {
      if (failure !== undefined) {
        if (attempt > this.settings.attempts) return this.giveUp(message, from, attempt - 1, failure.cause);
        await this.pause(attempt - 1);
        if (this.isEnding) return from;
      }
      try {
        return await this.attempt([message], from, attempt, this.begin());
      } catch (error) {
        failure = await this.handlerFailure(error);
      }
    }
  }

  /** @returns the checkpoint's position */
  private async attempt(
    messages: readonly StoredMessage[],
    from: bigint,
    attempt: number,
    done: Done,
  ): Promise<bigint> {
    const last = messages.at(-1)!.globalPosition;
    const position = await this.inTransaction(async () => {
      // First, so that whoever resets or rebuilds it waits here, and not for the documents that follow.
      const saved = this.work.isTransactional ? await this.save(from, last) : from;
      await this.call(messages, attempt, done);
      const to = done.count === 0 ? from : messages[done.count - 1]!.globalPosition;
      return to === saved ? saved : this.save(saved, to);
    });
    this.hasStopped ||= done.stop;
    return position;
  }

  private async call(messages: readonly StoredMessage[], attempt: number, done: Done): Promise<void> {
    const context: ReactorContext = {
      processorId: this.key.processorId,
      partition: this.key.partition,
      attempt,
      signal: this.signal,
    };
    try {
      await this.work.run(messages, context, done);
    } catch (error) {
      throw new HandlerFailure(error);
    }
  }

  private async inTransaction<R>(fn: () => Promise<R>): Promise<R> {
    return this.work.isTransactional ? this.around.backend.transaction(fn) : fn();
  }

  /** @throws CheckpointMovedError */
  private async save(from: bigint, to: bigint): Promise<bigint> {
    const { saved } = await this.around.backend.processors.save(this.key, from, to, this.lease.fence);
    if (!saved) throw new CheckpointMovedError(this.key);
    return to;
  }

  /** What the handler threw; rethrows what is not its fault. */
  private async handlerFailure(error: unknown): Promise<HandlerFailure> {
    if (!(error instanceof HandlerFailure)) throw error;
    const { backend } = this.around;
    const cause = error.cause instanceof ProjectionFailedError ? error.cause.cause : error.cause;
    if (!this.lease.held || backend.isTransient(cause)) throw cause;
    // It may as well be another service that the handler could not reach, or a file that is not there.
    if (backend.isUnavailable(cause) && !(await this.isReachable())) throw cause;
    return error;
  }

  private isReachable(): Promise<boolean> {
    return this.around.backend.ping(PING_MS).then(
      () => true,
      () => false,
    );
  }

  private async pause(failures: number): Promise<void> {
    const signal = AbortSignal.any([this.around.stopping, this.lease.signal]);
    await pause(backoffMs(failures, this.settings.retryMs), signal);
  }

  /** @returns the checkpoint's position */
  private async giveUp(
    message: StoredMessage,
    from: bigint,
    attempts: number,
    cause: unknown,
  ): Promise<bigint> {
    const { processorId } = this.key;
    const { backend } = this.around;
    const what = `${message.type} at global position ${message.globalPosition} of stream "${message.streamName}"`;
    if (this.settings.deadLetter) {
      await backend.transaction(async () => {
        await this.save(from, message.globalPosition);
        await this.park(message, attempts, cause);
      });
      logger.warn(
        `Processor "${processorId}" has parked ${what} after ${attempts} attempts: ${messageOf(cause)}`,
        cause,
      );
      return message.globalPosition;
    }
    this.hasFailed = true;
    await backend.processors.setStatus(this.key, 'failed', `${what}: ${messageOf(cause)}`);
    logger.error(
      `Processor "${processorId}" has failed at ${what} after ${attempts} attempts, and stands still until it is ` +
        `resumed: ${messageOf(cause)}`,
      cause,
    );
    return from;
  }

  private async park(
    message: StoredMessage,
    attempts: number,
    cause: unknown,
    answered?: number,
  ): Promise<void> {
    await this.around.backend.processors.park(this.key, message, attempts, messageOf(cause), answered);
  }
}
