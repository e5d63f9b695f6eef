import { type JsonValue } from '@nestbox/core';
import { type Change, RevisionTrimmedError } from '@nestbox/kv';
import { Inject, Injectable, Logger, type MessageEvent, type OnModuleDestroy } from '@nestjs/common';
import { Observable, type Subscriber } from 'rxjs';
import { SHOP_CONFIG } from '../tokens.js';
import type { ShopConfig } from '../config.js';
import { Settings } from './settings.js';

/** How soon a browser comes back when its stream has ended, in ms. */
const RECONNECT_MS = 1000;

/** The changes of the settings as server-sent events. */
@Injectable()
export class SettingsStream implements OnModuleDestroy {
  private readonly logger = new Logger('SettingsStream');
  private readonly open = new Set<Subscriber<MessageEvent>>();
  private stopping = false;

  constructor(
    private readonly settings: Settings,
    @Inject(SHOP_CONFIG) private readonly config: Pick<ShopConfig, 'heartbeatMs'>,
  ) {}

  /** Ends all streams, so that the server can stop; browsers reconnect, to another instance or to the next one. */
  onModuleDestroy(): void {
    this.stopping = true;
    for (const subscriber of this.open) subscriber.complete();
  }

  /**
   * The changes after a revision. Where those are no longer kept, one `reset` event has all settings instead,
   * and the changes go on from there.
   */
  eventsAfter(revision: bigint): Observable<MessageEvent> {
    return new Observable((subscriber) => {
      if (this.stopping) {
        subscriber.complete();
        return undefined;
      }
      const end = new AbortController();
      const heartbeat = setInterval(() => subscriber.next({ comment: 'heartbeat' }), this.config.heartbeatMs);
      this.open.add(subscriber);
      this.logger.debug(`A stream was opened; ${this.open.size} are open.`);
      subscriber.next({ comment: 'settings', retry: RECONNECT_MS });
      // `pump` never rejects.
      void this.pump(subscriber, revision, end.signal);
      return () => {
        clearInterval(heartbeat);
        end.abort();
        this.open.delete(subscriber);
        this.logger.debug(`A stream was closed; ${this.open.size} are open.`);
      };
    });
  }

  private async pump(
    subscriber: Subscriber<MessageEvent>,
    revision: bigint,
    signal: AbortSignal,
  ): Promise<void> {
    try {
      let from = revision;
      for (;;) {
        try {
          for await (const change of this.settings.changesAfter(from, signal))
            subscriber.next(toEvent(change));
          break;
        } catch (error) {
          if (!(error instanceof RevisionTrimmedError)) throw error;
          const { settings, revision: current } = await this.settings.all();
          subscriber.next({ type: 'reset', id: String(current), data: settings });
          from = current;
        }
      }
      subscriber.complete();
    } catch (error) {
      // The client reconnects, with the id of the last event it got.
      if (!signal.aborted) this.logger.warn(`A stream was ended early: ${String(error)}`);
      subscriber.complete();
    }
  }
}

function toEvent(change: Change<JsonValue>): MessageEvent {
  const data = change.type === 'set' ? { name: change.key, value: change.value } : { name: change.key };
  return { id: String(change.revision), type: change.type, data };
}
