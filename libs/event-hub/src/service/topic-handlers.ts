import type { Backplane, BackplaneMessage } from '@nestbox/channels';
import { messageOf, runInRootScope } from '@nestbox/core';
import type { Logger } from '@nestjs/common';
import { HandlerLanes, type AnyHandler } from './handler-lanes.js';
import type { TopicMatcher } from './topic-pattern.js';

/** A handler in this process, until it is disposed of. */
export interface HubListener extends Disposable {
  /** Resolves when everything that any instance publishes from now on reaches the handler. Never rejects. */
  readonly ready: Promise<void>;
}

interface Registration {
  matcher: TopicMatcher;
  lanes: HandlerLanes;
  state: 'new' | 'joining' | 'joined' | 'disposed';
}

/** The handlers of this process, by what they listen to. */
export class TopicHandlers {
  private readonly exact = new Map<string, Set<Registration>>();
  private readonly patterns = new Set<Registration>();
  private isOpen = false;
  private isQuiet = false;

  constructor(
    private readonly backplane: Pick<Backplane, 'join' | 'leave' | 'joinAll' | 'leaveAll'>,
    private readonly logger: Logger,
  ) {}

  get count(): number {
    let count = this.patterns.size;
    for (const registrations of this.exact.values()) count += registrations.size;
    return count;
  }

  /** @param opened resolves when the backplane is open, at the latest when something is published */
  add(matcher: TopicMatcher, handler: AnyHandler, opened: Promise<void> | undefined): HubListener {
    const registration: Registration = {
      matcher,
      lanes: new HandlerLanes(matcher.text, handler, this.logger),
      state: 'new',
    };
    if (matcher.isPattern) this.patterns.add(registration);
    else this.at(matcher.text).add(registration);
    const ready = opened === undefined ? this.join(registration) : opened.then(() => this.join(registration));
    return {
      ready: ready.catch((error: unknown) => {
        this.logger.warn(
          `"${matcher.text}" is not listened to on other instances yet: ${messageOf(error)}. It is tried again.`,
        );
      }),
      [Symbol.dispose]: () => this.remove(registration),
    };
  }

  has(topic: string): boolean {
    if (this.exact.has(topic)) return true;
    for (const { matcher } of this.patterns) if (matcher.matches(topic)) return true;
    return false;
  }

  dispatch(message: BackplaneMessage): void {
    if (this.isQuiet) return;
    for (const { lanes } of this.exact.get(message.topic) ?? []) lanes.push(message);
    for (const { matcher, lanes } of this.patterns) {
      if (matcher.matches(message.topic)) lanes.push(message);
    }
  }

  /** Joins what could not be joined before. */
  async rejoin(): Promise<void> {
    this.isOpen = true;
    await Promise.all(this.all().map((registration) => this.join(registration)));
  }

  /** Takes nothing more, and waits for what runs or waits, but not for longer. @returns whether all of it has ended */
  async drain(timeoutMs: number): Promise<boolean> {
    this.isQuiet = true;
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<boolean>((resolve) => {
      timer = setTimeout(resolve, timeoutMs, false);
    });
    const idle = Promise.all(this.all().map(({ lanes }) => lanes.idle())).then(() => true);
    return Promise.race([idle, timeout]).finally(() => clearTimeout(timer));
  }

  close(): void {
    for (const registration of this.all()) this.remove(registration);
  }

  private async join(registration: Registration): Promise<void> {
    const { matcher } = registration;
    if (registration.state !== 'new' || !this.isOpen) return;
    registration.state = 'joining';
    try {
      await runInRootScope(() =>
        matcher.isPattern ? this.backplane.joinAll() : this.backplane.join(matcher.text),
      );
    } catch (error) {
      if (registration.state === 'joining') registration.state = 'new';
      throw error;
    }
    if (registration.state === 'joining') registration.state = 'joined';
    else this.leave(matcher);
  }

  private remove(registration: Registration): void {
    const { matcher, lanes, state } = registration;
    registration.state = 'disposed';
    lanes.stop();
    if (matcher.isPattern) this.patterns.delete(registration);
    else {
      const registrations = this.exact.get(matcher.text);
      registrations?.delete(registration);
      if (registrations?.size === 0) this.exact.delete(matcher.text);
    }
    if (state === 'joined') this.leave(matcher);
  }

  private leave(matcher: TopicMatcher): void {
    if (matcher.isPattern) this.backplane.leaveAll();
    else this.backplane.leave(matcher.text);
  }

  private at(topic: string): Set<Registration> {
    let registrations = this.exact.get(topic);
    if (registrations === undefined) this.exact.set(topic, (registrations = new Set()));
    return registrations;
  }

  private all(): Registration[] {
    return [...this.patterns, ...[...this.exact.values()].flatMap((registrations) => [...registrations])];
  }
}
