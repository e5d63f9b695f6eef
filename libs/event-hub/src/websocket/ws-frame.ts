import type { Frame } from '@nestbox/channels';

/** Up to here, header and payload are one buffer, and one write; above, the payload is not copied. */
const JOIN_BYTES = 64 * 1024;

const FIN = 0x80;
const TEXT = 0x1;
const BINARY = 0x2;

const encoded = new WeakMap<Frame, readonly Buffer[]>();

/**
 * A frame as it stands on the wire (RFC 6455, section 5.2): final, unmasked and not compressed, hence the same for
 * every client. It is made once, however many clients it goes to.
 */
export function wireFrameOf(frame: Frame): readonly Buffer[] {
  let buffers = encoded.get(frame);
  if (buffers === undefined) {
    const header = headerOf(frame);
    buffers = frame.data.length <= JOIN_BYTES ? [Buffer.concat([header, frame.data])] : [header, frame.data];
    encoded.set(frame, buffers);
  }
  return buffers;
}

function headerOf({ data: { length }, binary }: Frame): Buffer {
  const first = FIN | (binary ? BINARY : TEXT);
  if (length < 126) return Buffer.from([first, length]);
  if (length < 65_536) {
    const header = Buffer.from([first, 126, 0, 0]);
    header.writeUInt16BE(length, 2);
    return header;
  }
  const header = Buffer.alloc(10);
  header[0] = first;
  header[1] = 127;
  header.writeBigUInt64BE(BigInt(length), 2);
  return header;
}
