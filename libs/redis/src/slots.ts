import type { ClusterClient } from './driver.js';

const SLOTS = 16_384;

/** The slot of a key or of a sharded channel on a cluster. */
export function slotOf(key: string): number {
  const bytes = Buffer.from(key);
  const open = bytes.indexOf('{');
  const close = open < 0 ? -1 : bytes.indexOf('}', open + 1);
  return crc16(close > open + 1 ? bytes.subarray(open + 1, close) : bytes) % SLOTS;
}

/** The master of a key's slot, as far as the client knows, by its host and port. */
export function masterOf(client: ClusterClient, key: string): string | undefined {
  return client.slots[slotOf(key)]?.[0];
}

/** CRC-16/XMODEM. */
function crc16(bytes: Buffer): number {
  let crc = 0;
  for (const byte of bytes) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) crc = ((crc << 1) ^ (crc & 0x8000 ? 0x1021 : 0)) & 0xffff;
  }
  return crc;
}
