import { setTimeout as sleep } from 'node:timers/promises';
import { backoffMs, ClosedError, type JsonValue, messageOf } from '@nestbox/core';
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
   * The changes after a revision; by default, after now. Where those are not kept any more, or the revision is none
   * of this database, one `reset` event has all settings instead, and the changes go on from there.
   */
  async eventsAfter(revision?: bigint): Promise<Observable<MessageEvent>> {
    const current = await this.settings.revision();
    const start = revision ?? current;
    return this.events(start, start <= current);
  }

  private events(revision: bigint, isKnown: boolean): Observable<MessageEvent> {
    return new Observable((subscriber) => {
      if (this.stopping) {
        subscriber.complete();
        return undefined;
      }
      const end = new AbortController();
      const heartbeat = setInterval(() => subscriber.next({ comment: 'heartbeat' }), this.config.heartbeatMs);
      this.open.add(subscriber);
      this.logger.debug(`A stream was opened; ${this.open.size} are open.`);
      // With the id a client that has seen no change yet still comes back to where it was.
      subscriber.next({ comment: 'settings', id: String(revision), retry: RECONNECT_MS });
      // `pump` never rejects.
      void this.pump(subscriber, isKnown ? revision : undefined, end.signal);
      return () => {
        clearInterval(heartbeat);
        end.abort();
        this.open.delete(subscriber);
        this.logger.debug(`A stream was closed; ${this.open.size} are open.`);
      };
    });
  }

  /**
   * Never rejects: where the changes cannot be read, it tries again, as the client would.
   *
   * @param seen undefined where the client has to be told everything
   */
  private async pump(
    subscriber: Subscriber<MessageEvent>,
    seen: bigint | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    for (let failures = 0; !signal.aborted;) {
      try {
        if (seen === undefined) {
          const { settings, revision } = await this.settings.all();
          seen = revision;
          subscriber.next({ type: 'reset', id: String(revision), data: settings });
        }
        for await (const change of this.settings.changesAfter(seen, signal)) {
          subscriber.next(toEvent(change));
          seen = change.revision;
          failures = 0;
        }
        break;
      } catch (error) {
        if (error instanceof ClosedError) break;
        if (error instanceof RevisionTrimmedError) {
          seen = undefined;
          continue;
        }
        if (++failures === 1) {
          this.logger.warn(`A stream waits for the changes of settings: ${messageOf(error)}`);
        }
        await pause(backoffMs(failures, { baseMs: 100, maxMs: 2000 }), signal);
      }
    }
    subscriber.complete();
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  // It rejects only when the signal ends it.
  await sleep(ms, undefined, { signal, ref: false }).catch(() => undefined);
}

function toEvent(change: Change<JsonValue>): MessageEvent {
  const data = change.type === 'set' ? { name: change.key, value: change.value } : { name: change.key };
  return { id: String(change.revision), type: change.type, data };
}
