import type { Position } from '@nestbox/channels';
import { MAX_NAME_BYTES } from '@nestbox/core';

/** Reads `epoch:offset`. @returns undefined for anything else, such as what a client has got from another source */
export function positionOf(lastEventId: string | readonly string[] | null | undefined): Position | undefined {
  if (typeof lastEventId !== 'string') return undefined;
  const [, epoch, digits] = /^(.+):(\d{1,16})$/.exec(lastEventId) ?? [];
  const offset = Number(digits);
  if (epoch === undefined || !Number.isSafeInteger(offset)) return undefined;
  return Buffer.byteLength(epoch) <= MAX_NAME_BYTES && epoch.isWellFormed() && !epoch.includes('\0')
    ? { epoch, offset }
    : undefined;
}
