import { messageContext } from '../append/message-context.js';
import type { Codec } from '../codec/codec.js';
import type { EventStoreBackend, StoredMessage } from '../event-store.backend.js';
import type { ReadEvent, Upcast } from '../event.types.js';
import type { Projection } from '../projections/projection.types.js';
import { runProjection, storedTypesOf, wantsDeleted } from '../projections/run-projection.js';
import type { EventDecoder } from '../streams/read-event.js';
import type { HandlerResult, ProjectorOptions, ReactorContext, ReactorOptions } from './consumer.types.js';

/** How far a handler came with a batch, also when it failed. */
export interface Done {
  /** Whether to end behind the message that is being handled. */
  readonly isStopping: () => boolean;
  /** Messages that are handled, from the first on. */
  count: number;
  /** Whether the handler asked for the processor to end behind them. */
  stop: boolean;
}

/** What a processor does with messages. */
export interface EventWork {
  /** The types that are read; undefined for all. */
  readonly types: readonly string[] | undefined;
  /** Whether all includes `$StreamDeleted`. */
  readonly withDeleted: boolean;
  /** Whether the work and the checkpoint are done in one transaction. */
  readonly isTransactional: boolean;
  /**
   * Handles messages in order.
   *
   * @param done says how far it came; set also when it rejects
   * @throws what the handler throws
   */
  run(messages: readonly StoredMessage[], context: ReactorContext, done: Done): Promise<void>;
}

/** Runs a projection. */
export class ProjectorWork implements EventWork {
  readonly types: readonly string[] | undefined;
  readonly withDeleted: boolean;
  readonly isTransactional = true;
  private readonly projection: Projection;
  private readonly upcast: Upcast | undefined;

  constructor(
    private readonly backend: EventStoreBackend,
    private readonly codec: Codec | undefined,
    private readonly decoder: EventDecoder,
    { projection, upcast }: ProjectorOptions,
  ) {
    this.projection = projection;
    this.upcast = upcast;
    this.types = storedTypesOf(projection, decoder.isUpcast || upcast !== undefined);
    this.withDeleted = wantsDeleted(projection);
  }

  async run(messages: readonly StoredMessage[], _context: ReactorContext, done: Done): Promise<void> {
    const events = this.decoder.decodeAll(messages, this.upcast);
    await runProjection(this.backend, this.codec, this.projection, events);
    done.count = messages.length;
  }
}

/** Calls a handler. */
export class ReactorWork implements EventWork {
  readonly types: readonly string[] | undefined;
  readonly withDeleted: boolean;
  readonly isTransactional: boolean;

  constructor(
    private readonly decoder: EventDecoder,
    private readonly options: ReactorOptions,
  ) {
    const isUpcast = decoder.isUpcast || options.upcast !== undefined;
    this.types = isUpcast ? undefined : options.canHandle;
    this.withDeleted = wantsDeleted(options);
    this.isTransactional = options.transactional ?? false;
  }

  async run(messages: readonly StoredMessage[], context: ReactorContext, done: Done): Promise<void> {
    const { options } = this;
    if (options.eachBatch === undefined) return this.runEach(messages, context, done);
    const events = messages.flatMap((message) => this.eventsOf(message));
    const result = events.length === 0 ? undefined : await options.eachBatch(events, context);
    done.stop = isStop(result);
    done.count = messages.length;
  }

  private async runEach(
    messages: readonly StoredMessage[],
    context: ReactorContext,
    done: Done,
  ): Promise<void> {
    for (const message of messages) {
      if (context.signal.aborted || done.stop || done.isStopping()) return;
      for (const event of this.eventsOf(message)) {
        const result = await messageContext.run(causedBy(event), () =>
          this.options.eachMessage!(event, context),
        );
        done.stop ||= isStop(result);
      }
      done.count++;
    }
  }

  private eventsOf(message: StoredMessage): readonly ReadEvent[] {
    const { canHandle, upcast } = this.options;
    const events = this.decoder.decodeAll([message], upcast);
    return canHandle === undefined ? events : events.filter(({ type }) => canHandle.includes(type));
  }
}

function causedBy({ metadata }: ReadEvent): { correlationId: string; causationId: string } {
  return { correlationId: metadata.correlationId ?? metadata.messageId, causationId: metadata.messageId };
}

function isStop(result: HandlerResult): boolean {
  // What a handler happens to return, such as the result of its last call, is not meant for us.
  return typeof result === 'object' && result !== null && result.type === 'STOP';
}
