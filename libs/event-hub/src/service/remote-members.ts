import { BackplaneError, ChannelNotFoundError, type Asked, type Position } from '@nestbox/channels';
import { ClosedError } from '@nestbox/core';
import type { Attached } from './attach.js';
import type { HubChannels } from './hub-channels.js';
import { readAnswer, requestOf } from './subscribe-request.js';

/** Makes channels that other instances hold members there. */
export class RemoteMembers {
  private readonly asking = new Set<AbortController>();
  private isClosed = false;

  /** @param kind of the questions to other instances */
  constructor(
    private readonly channels: HubChannels,
    private readonly kind: string,
  ) {}

  /**
   * Resolves when the instance that holds the channel has made it a member, so that it gets all that is published from
   * then on. Not to be called inside a transaction.
   *
   * @returns undefined when that is this instance by now
   * @throws ChannelNotFoundError when there is no such channel; BackplaneError when its instance does not say that it
   *   did; ClosedError
   */
  async add(topic: string, channelId: string, since: Position | undefined): Promise<Attached | undefined> {
    if (this.isClosed) throw closedError();
    const asking = new AbortController();
    this.asking.add(asking);
    let asked: Asked;
    try {
      asked = await this.channels.ask(channelId, this.kind, requestOf(topic, since), asking.signal);
    } catch (error) {
      if (error instanceof ClosedError) throw error;
      const cause = error instanceof BackplaneError && error.cause !== undefined ? error.cause : error;
      throw new BackplaneError(
        `subscribe channel "${channelId}" to topic "${topic}" on the instance that holds it (which finds out by itself within the resync interval)`,
        cause,
      );
    } finally {
      this.asking.delete(asking);
    }
    if (asked.where === 'local') return undefined;
    const answer = asked.where === 'remote' ? readAnswer(asked.answer) : undefined;
    if (answer === undefined) throw new ChannelNotFoundError(channelId);
    return { recovered: false, missed: [], position: answer.position };
  }

  /** Whoever waits gets a ClosedError. */
  close(): void {
    this.isClosed = true;
    for (const asking of this.asking) asking.abort(closedError());
  }
}

function closedError(): ClosedError {
  return new ClosedError('The event hub');
}
