import {
  ChannelNotFoundError,
  type Backplane,
  type BackplaneMessage,
  type Position,
} from '@nestbox/channels';
import { isAtOrAfter, readSince, type CaughtUp } from './catch-up.js';
import { framesOf } from './frames.js';
import type { LocalMembers } from './local-members.js';
import type { Member, Waiting } from './member.js';

/** What {@link attach} needs of a hub. */
export interface AttachContext {
  members: LocalMembers;
  backplane: Backplane;
}

export interface Attached {
  recovered: boolean;
  missed: BackplaneMessage[];
  position: Position | undefined;
}

/** From where a channel gets messages: after a position, after the newest one, or whatever comes next. */
export type StartFrom = Position | 'head' | 'next';

/**
 * Makes a local channel a member of a topic. While the history is read, what comes is kept; then it gets what it missed,
 * then what was kept, then everything at once: nothing twice, and nothing left out.
 *
 * @param record writes the subscription down; it is refused where this resolves to false
 * @throws ChannelNotFoundError when it was refused, or the channel ended meanwhile
 */
export async function attach(
  context: AttachContext,
  topic: string,
  channelId: string,
  start: StartFrom,
  record: () => Promise<boolean>,
): Promise<Attached> {
  const { members, backplane } = context;
  const present = members.get(topic, channelId);
  if (present !== undefined) return again(context, topic, present, start, record);

  const member = members.add(topic, channelId);
  try {
    const joining = members.joined(topic);
    if (joining !== undefined) await backplane.afterJoin(joining);
    const [recorded, found] = await both(record(), read(backplane, topic, start));
    if (!recorded || member.isGone) throw new ChannelNotFoundError(channelId);
    while (member.hasDropped && found.head !== undefined) {
      member.hasDropped = false;
      member.waiting = [];
      const more = await readSince(backplane, topic, found.head);
      if (member.isGone) throw new ChannelNotFoundError(channelId);
      found.missed.push(...more.missed);
      found.complete &&= more.complete;
      found.head = more.head;
    }
    goLive(members, member, found);
    const recovered = typeof start === 'object' && found.complete;
    member.from = recovered ? start : found.head;
    return {
      recovered,
      missed: found.missed.filter(({ except }) => !except.includes(channelId)),
      position: found.head,
    };
  } catch (error) {
    if (!member.isGone) members.remove(topic, channelId);
    throw error;
  }
}

/** A channel that is a member already has had, or will get, all that came since; nothing is sent to it twice. */
async function again(
  { backplane, members }: AttachContext,
  topic: string,
  member: Member,
  start: StartFrom,
  record: () => Promise<boolean>,
): Promise<Attached> {
  const [recorded, position] = await both(
    record(),
    start === 'next' ? Promise.resolve(undefined) : backplane.head(topic),
  );
  if (!recorded || member.isGone) {
    if (!member.isGone) members.remove(topic, member.channelId);
    throw new ChannelNotFoundError(member.channelId);
  }
  const recovered = typeof start === 'object' && member.from !== undefined && isAtOrAfter(start, member.from);
  return { recovered, missed: [], position };
}

async function read(backplane: Backplane, topic: string, start: StartFrom): Promise<CaughtUp> {
  if (typeof start === 'object') return readSince(backplane, topic, start);
  const head = start === 'head' ? await backplane.head(topic) : undefined;
  return { missed: [], complete: false, head };
}

/** Everything here happens at once, so that no message comes in between. */
function goLive(members: LocalMembers, member: Member, { missed, head }: CaughtUp): void {
  const waiting: readonly Waiting[] = member.waiting ?? [];
  member.waiting = undefined;
  member.floor = head;
  for (const message of missed) {
    if (message.except.includes(member.channelId)) continue;
    if (!members.sendAll(member.channelId, framesOf(message))) return;
  }
  for (const { frames, position } of waiting) {
    if (position !== undefined && member.isBehindFloor(position)) continue;
    if (!members.sendAll(member.channelId, frames)) return;
  }
}

/** Both results; a failure is thrown when both have ended, so that none of them is left behind. */
async function both<A, B>(a: Promise<A>, b: Promise<B>): Promise<[A, B]> {
  const [first, second] = await Promise.allSettled([a, b]);
  if (first.status === 'rejected') throw first.reason;
  if (second.status === 'rejected') throw second.reason;
  return [first.value, second.value];
}
