/** Keys that expire in the same span of so many ms are kept together. */
const SPAN_MS = 250;

/** Which keys expire when. */
export class ExpiryIndex {
  private readonly spans = new Map<number, Set<string>>();
  /** No span before this one has keys. */
  private first = Infinity;

  add(key: string, expiresAt: number): void {
    const span = spanOf(expiresAt);
    const keys = this.spans.get(span);
    if (keys === undefined) this.spans.set(span, new Set([key]));
    else keys.add(key);
    if (span < this.first) this.first = span;
  }

  remove(key: string, expiresAt: number): void {
    const span = spanOf(expiresAt);
    const keys = this.spans.get(span);
    if (keys?.delete(key) === true && keys.size === 0) this.spans.delete(span);
  }

  /** When keys may be due next, in ms since the epoch; Infinity when none will be. */
  get nextDue(): number {
    return this.spans.size === 0 ? Infinity : (this.first + 1) * SPAN_MS;
  }

  /** Up to `limit` keys whose time is up. They stay in the index until they are removed. */
  due(now: number, limit: number): string[] {
    if (now < this.nextDue) return [];
    const due: string[] = [];
    let first = Infinity;
    for (const [span, keys] of this.spans) {
      if ((span + 1) * SPAN_MS <= now) {
        for (const key of keys) {
          if (due.length === limit) break;
          due.push(key);
        }
      }
      if (span < first) first = span;
    }
    this.first = first;
    return due;
  }
}

function spanOf(expiresAt: number): number {
  return Math.floor(expiresAt / SPAN_MS);
}
