import type { BackplaneMessage, OutgoingMessage, Position } from '../backplane.js';

/*
 * What is sent, all numbers big-endian:
 *
 *   frame   what is published at once: records, each with its length (u32) before it
 *   record  0 (u8), body; or with a history 1 (u8), offset (f64), length of the epoch (u8), epoch, body
 *   body    1 if binary else 0 (u8), origin and topic (u16 length, text), number of excepted ids (u32), these (u16
 *           length, text), payload
 *   entry   what a history keeps: time in ms (f64), body
 */

const PLAIN = 0;
const POSITIONED = 1;
/** The time before the body of an entry. */
const ENTRY_HEADER = 8;

export function encodeBody(message: OutgoingMessage, origin: string): Buffer {
  const { topic, payload, binary, except } = message;
  let length = 1 + 2 + Buffer.byteLength(origin) + 2 + Buffer.byteLength(topic) + 4 + payload.byteLength;
  for (const id of except) length += 2 + Buffer.byteLength(id);
  const body = Buffer.allocUnsafe(length);
  let at = body.writeUInt8(binary ? 1 : 0, 0);
  at = writeText(body, origin, at);
  at = writeText(body, topic, at);
  at = body.writeUInt32BE(except.length, at);
  for (const id of except) at = writeText(body, id, at);
  body.set(payload, at);
  return body;
}

function writeText(into: Buffer, text: string, at: number): number {
  const length = into.write(text, at + 2);
  into.writeUInt16BE(length, at);
  return at + 2 + length;
}

/** A frame of messages without a history. */
export function encodeFrame(bodies: readonly Buffer[]): Buffer {
  const parts = bodies.flatMap((body) => {
    const header = Buffer.allocUnsafe(5);
    header.writeUInt8(PLAIN, header.writeUInt32BE(body.length + 1, 0));
    return [header, body];
  });
  return Buffer.concat(parts);
}

/** @param isWanted decides by topic, origin and whether there is a history, before the rest is read */
export function* decodeFrame(
  frame: Buffer,
  isWanted: (topic: string, origin: string, hasPosition: boolean) => boolean,
): Generator<BackplaneMessage, void, undefined> {
  let end = 0;
  while (end < frame.length) {
    const start = end + 4;
    end = start + frame.readUInt32BE(end);
    const message = decodeRecord(frame.subarray(start, end), isWanted);
    if (message !== undefined) yield message;
  }
}

function decodeRecord(
  record: Buffer,
  isWanted: (topic: string, origin: string, hasPosition: boolean) => boolean,
): BackplaneMessage | undefined {
  if (record.readUInt8(0) !== POSITIONED) {
    return decodeBody(record.subarray(1), undefined, isWanted);
  }
  const offset = record.readDoubleBE(1);
  const bodyAt = 10 + record.readUInt8(9);
  const epoch = record.toString('latin1', 10, bodyAt);
  return decodeBody(record.subarray(bodyAt), { epoch, offset }, isWanted);
}

/** A message as its history keeps it. */
export function decodeEntry(entry: Buffer, position: Position): BackplaneMessage & { position: Position } {
  return { ...decodeBody(entry.subarray(ENTRY_HEADER), position, () => true)!, position };
}

export function decodeBody(
  body: Buffer,
  position: Position | undefined,
  isWanted: (topic: string, origin: string, hasPosition: boolean) => boolean,
): BackplaneMessage | undefined {
  const [origin, topicAt] = readText(body, 1);
  const [topic, exceptAt] = readText(body, topicAt);
  if (!isWanted(topic, origin, position !== undefined)) return undefined;
  const except: string[] = [];
  let at = exceptAt + 4;
  for (let left = body.readUInt32BE(exceptAt); left > 0; left--) {
    const [id, next] = readText(body, at);
    except.push(id);
    at = next;
  }
  const message = { topic, payload: body.subarray(at), binary: body.readUInt8(0) === 1, except, origin };
  return position === undefined ? message : { ...message, position };
}

function readText(from: Buffer, at: number): [text: string, next: number] {
  const start = at + 2;
  const end = start + from.readUInt16BE(at);
  return [from.toString('utf8', start, end), end];
}
