import type { MessageEvent } from '@nestjs/common';

export interface SseFields {
  type?: string;
  id: string;
  data?: string;
  comment?: string;
}

/**
 * An event for Nest's `@Sse()`. Nest gives no sign that it has written one, and whoever emits cannot be held up: but it
 * reads `retry` when it formats an event, which is when the client's connection has taken the one before.
 */
export class SseEvent implements MessageEvent {
  readonly type: string | undefined;
  readonly id: string;
  readonly data: string | undefined;
  readonly comment: string | undefined;
  private onTaken: (() => void) | undefined;

  constructor({ type, id, data, comment }: SseFields, onTaken: () => void) {
    this.type = type === undefined ? undefined : oneLine(type);
    this.id = oneLine(id);
    this.data = data;
    this.comment = comment;
    this.onTaken = onTaken;
  }

  get retry(): undefined {
    const { onTaken } = this;
    this.onTaken = undefined;
    onTaken?.();
    return undefined;
  }

  /** About what it takes in memory. */
  get size(): number {
    return 100 + (this.data?.length ?? 0);
  }
}

/** A line ends a field, and NUL spoils an id. */
function oneLine(text: string): string {
  return text.replaceAll(/[\r\n\0]/g, (character) => encodeURIComponent(character));
}
