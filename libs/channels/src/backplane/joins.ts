/** Counts who has joined which topic. */
export class Joins {
  private readonly topics = new Map<string, number>();
  private all = 0;

  /** @returns whether it is the first */
  add(topic: string): boolean {
    const count = this.topics.get(topic) ?? 0;
    this.topics.set(topic, count + 1);
    return count === 0;
  }

  /** @returns whether it was the last */
  remove(topic: string): boolean {
    const count = this.topics.get(topic) ?? 0;
    if (count > 1) {
      this.topics.set(topic, count - 1);
      return false;
    }
    return this.topics.delete(topic);
  }

  /** @returns whether it is the first */
  addAll(): boolean {
    return ++this.all === 1;
  }

  /** @returns whether it was the last */
  removeAll(): boolean {
    if (this.all === 0) return false;
    return --this.all === 0;
  }

  /** Whether every topic is wanted. */
  get wantsAll(): boolean {
    return this.all > 0;
  }

  has(topic: string): boolean {
    return this.topics.has(topic);
  }

  wants(topic: string): boolean {
    return this.all > 0 || this.topics.has(topic);
  }

  get names(): string[] {
    return [...this.topics.keys()];
  }
}
