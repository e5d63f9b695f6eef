import type { Backplane, Frame, Position } from '@nestbox/channels';
import { runInRootScope } from '@nestbox/core';
import { Member } from './member.js';

interface TopicMembers {
  members: Map<string, Member>;
  /** Undefined when other instances' messages come already. */
  joining: Promise<void> | undefined;
  hasJoined: boolean;
}

/** Sends a frame to a local channel; never throws. */
export type Deliver = (channelId: string, frame: Frame) => boolean;

/** Which of this instance's channels are subscribed to which topics. A topic is joined while it has any. */
export class LocalMembers {
  private readonly topics = new Map<string, TopicMembers>();
  private readonly channels = new Map<string, Set<string>>();
  private memberships = 0;

  constructor(
    private readonly backplane: Pick<Backplane, 'join' | 'leave'>,
    private readonly deliver: Deliver,
  ) {}

  get topicCount(): number {
    return this.topics.size;
  }

  /** Of all topics: a channel with two topics counts twice. */
  get count(): number {
    return this.memberships;
  }

  get(topic: string, channelId: string): Member | undefined {
    return this.topics.get(topic)?.members.get(channelId);
  }

  topicsOf(channelId: string): readonly string[] {
    return [...(this.channels.get(channelId) ?? [])];
  }

  channelIds(): readonly string[] {
    return [...this.channels.keys()];
  }

  /** Members of a topic, without those who are left out. */
  countFor(topic: string, except: readonly string[]): number {
    const members = this.topics.get(topic)?.members;
    if (members === undefined) return 0;
    return members.size - except.filter((channelId) => members.has(channelId)).length;
  }

  /** Adds a member that keeps what comes until it is told otherwise. */
  add(topic: string, channelId: string): Member {
    let entry = this.topics.get(topic);
    if (entry === undefined) {
      entry = { members: new Map(), joining: undefined, hasJoined: false };
      this.topics.set(topic, entry);
    }
    const member = new Member(channelId);
    entry.members.set(channelId, member);
    const topics = this.channels.get(channelId);
    if (topics === undefined) this.channels.set(channelId, new Set([topic]));
    else topics.add(topic);
    this.memberships++;
    return member;
  }

  /** Resolves when all that is published to the topic from now on reaches its members. */
  joined(topic: string): Promise<void> | undefined {
    const entry = this.topics.get(topic);
    if (entry === undefined || entry.hasJoined) return entry?.joining;
    entry.hasJoined = true;
    entry.joining = this.join(topic, entry);
    return entry.joining;
  }

  remove(topic: string, channelId: string): boolean {
    const entry = this.topics.get(topic);
    const member = entry?.members.get(channelId);
    if (entry === undefined || member === undefined) return false;
    member.isGone = true;
    entry.members.delete(channelId);
    this.memberships--;
    const topics = this.channels.get(channelId);
    topics?.delete(topic);
    if (topics?.size === 0) this.channels.delete(channelId);
    if (entry.members.size === 0) {
      this.topics.delete(topic);
      if (entry.hasJoined) this.backplane.leave(topic);
    }
    return true;
  }

  removeChannel(channelId: string): void {
    for (const topic of this.topicsOf(channelId)) this.remove(topic, channelId);
  }

  clear(): void {
    for (const channelId of this.channelIds()) this.removeChannel(channelId);
  }

  has(topic: string): boolean {
    return this.topics.has(topic);
  }

  /** Sends a message to the members of its topic, in one go. @returns to how many */
  send(topic: string, frames: readonly Frame[], except: readonly string[], position?: Position): number {
    const members = this.topics.get(topic)?.members;
    if (members === undefined) return 0;
    const left = except.length === 0 ? undefined : new Set(except);
    const only = frames.length === 1 ? frames[0] : undefined;
    let sent = 0;
    // A channel that ends on the way takes itself out of the map, which an iteration over it bears.
    for (const member of members.values()) {
      if (left?.has(member.channelId) === true) continue;
      sent++;
      if (member.waiting !== undefined) member.keep(frames, position);
      else if (position !== undefined && member.isBehindFloor(position)) continue;
      else if (only !== undefined) this.deliver(member.channelId, only);
      else this.sendAll(member.channelId, frames);
    }
    return sent;
  }

  /** Tells the members of a topic that messages before `head` were lost; those that still read the history read on. */
  sendGap(topic: string, frame: Frame, head: Position): void {
    for (const member of this.topics.get(topic)?.members.values() ?? []) {
      member.from = head;
      if (member.waiting === undefined) this.deliver(member.channelId, frame);
      else member.hasDropped = true;
    }
  }

  /** All frames of a message, or none after one that was refused. */
  sendAll(channelId: string, frames: readonly Frame[]): boolean {
    return frames.every((frame) => this.deliver(channelId, frame));
  }

  private async join(topic: string, entry: TopicMembers): Promise<void> {
    try {
      // It serves all members, so it must not belong to the transaction of the first one.
      await runInRootScope(() => this.backplane.join(topic));
      entry.joining = undefined;
    } catch (error) {
      entry.hasJoined = false;
      entry.joining = undefined;
      throw error;
    }
  }
}
