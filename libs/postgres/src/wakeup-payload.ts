import { InvalidArgumentError } from '@nestbox/core';

/** NOTIFY takes less than 8,000 bytes. */
const MAX_PAYLOAD_BYTES = 7_900;
/** Fits, even if all of its characters have to be escaped. */
const MAX_TOPIC_BYTES = 1_024;

/** @throws InvalidArgumentError for a topic that is empty or over 1,024 bytes */
export function assertTopic(topic: unknown): asserts topic is string {
  const bytes = typeof topic === 'string' ? Buffer.byteLength(topic) : 0;
  if (bytes === 0 || bytes > MAX_TOPIC_BYTES) {
    throw new InvalidArgumentError('topic', `must be a text of 1 to ${MAX_TOPIC_BYTES} bytes.`);
  }
}

/**
 * As few payloads as hold all topics, each with the sender in front. A topic that fits into none is left out.
 *
 * @returns the payloads, and the topics that were left out
 */
export function packTopics(
  sender: string,
  topics: Iterable<string>,
): { payloads: string[]; tooLong: string[] } {
  const payloads: string[] = [];
  const tooLong: string[] = [];
  const head = `[${JSON.stringify(sender)}`;
  // What follows is JSON, where control characters and lone surrogates are escaped: any text can be sent.
  const room = MAX_PAYLOAD_BYTES - Buffer.byteLength(head) - 1;
  let body = '';
  let used = 0;
  for (const topic of topics) {
    const item = `,${JSON.stringify(topic)}`;
    const bytes = Buffer.byteLength(item);
    if (bytes > room) {
      tooLong.push(topic);
      continue;
    }
    if (used + bytes > room) {
      payloads.push(`${head}${body}]`);
      body = '';
      used = 0;
    }
    body += item;
    used += bytes;
  }
  if (body !== '') payloads.push(`${head}${body}]`);
  return { payloads, tooLong };
}

/** What {@link packTopics} packed; undefined for a payload that somebody else made. */
export function unpackTopics(payload: string): { sender: string; topics: string[] } | undefined {
  let items: unknown;
  try {
    items = JSON.parse(payload);
  } catch {
    return undefined;
  }
  if (!Array.isArray(items) || !items.every((item) => typeof item === 'string')) return undefined;
  const [sender, ...topics] = items;
  return sender === undefined ? undefined : { sender, topics };
}
