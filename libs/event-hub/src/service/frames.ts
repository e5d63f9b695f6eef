import type { Frame, Position } from '@nestbox/channels';

/** The event of the text frame that follows a binary message of a topic with a history. */
export const POSITION_EVENT = 'nestbox:position';
/** The event that says that messages of a topic are lost. */
export const GAP_EVENT = 'nestbox:gap';

/** What transports send for a message. */
export interface FramedMessage {
  readonly topic: string;
  readonly payload: Buffer;
  readonly binary: boolean;
  readonly position?: Position;
}

/**
 * The frames of a message, made once for all who get it. JSON gets its envelope around the payload's bytes, which are
 * not parsed for it.
 */
export function framesOf(message: FramedMessage): readonly Frame[] {
  return message.binary ? binaryFrames(message) : [textFrame(message)];
}

/** Tells members that messages before this position never came. */
export function gapFrame(topic: string, head: Position): Frame {
  return notice(GAP_EVENT, topic, head);
}

/** How a position is written where there is a single text for it, such as `Last-Event-ID`. */
export function eventIdOf({ epoch, offset }: Position): string {
  return `${epoch}:${offset}`;
}

function textFrame({ topic, payload, position }: FramedMessage): Frame {
  const head = Buffer.from(`{"event":${JSON.stringify(topic)},"data":`);
  const tail = Buffer.from(
    position === undefined
      ? '}'
      : `,"epoch":${JSON.stringify(position.epoch)},"offset":${String(position.offset)}}`,
  );
  return {
    data: Buffer.concat([head, payload, tail]),
    binary: false,
    topic,
    eventId: position && eventIdOf(position),
    payload,
  };
}

function binaryFrames({ topic, payload, position }: FramedMessage): readonly Frame[] {
  if (position === undefined) return [{ data: payload, binary: true, topic }];
  return [
    { data: payload, binary: true, topic, eventId: eventIdOf(position) },
    notice(POSITION_EVENT, topic, position),
  ];
}

function notice(event: string, topic: string, { epoch, offset }: Position): Frame {
  return { data: Buffer.from(JSON.stringify({ event, data: { topic, epoch, offset } })), binary: false };
}
