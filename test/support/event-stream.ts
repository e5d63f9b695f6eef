/** A server-sent event, or a comment. */
export interface ServerEvent {
  id?: string;
  event?: string;
  data?: string;
  comment?: string;
}

/** A client of server-sent events that keeps all it gets. */
export class EventStream implements AsyncDisposable {
  readonly events: ServerEvent[] = [];
  /** Resolves when the stream has ended, whoever ended it. */
  readonly ended: Promise<void>;
  private readonly abort: AbortController;

  private constructor(body: ReadableStream<Uint8Array>, abort: AbortController) {
    this.abort = abort;
    this.ended = this.read(body);
  }

  /** Resolves when the headers are there. */
  static async open(url: string, headers: Record<string, string> = {}): Promise<EventStream> {
    const abort = new AbortController();
    const response = await fetch(url, { headers, signal: abort.signal });
    if (response.status !== 200 || response.body === null) {
      throw new Error(`${url} was answered with ${response.status}: ${await response.text()}`);
    }
    return new EventStream(response.body, abort);
  }

  /** Those with data, as JSON. */
  get changes(): unknown[] {
    return this.events.flatMap(({ event, data }) =>
      data === undefined ? [] : [{ event, ...JSON.parse(data) }],
    );
  }

  get lastId(): string | undefined {
    return this.events.findLast(({ id }) => id !== undefined)?.id;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.abort.abort();
    await this.ended;
  }

  private async read(body: ReadableStream<Uint8Array>): Promise<void> {
    let rest = '';
    try {
      for await (const text of body.pipeThrough(new TextDecoderStream())) {
        const blocks = (rest + text).split('\n\n');
        rest = blocks.pop()!;
        for (const block of blocks) this.add(block);
      }
    } catch {
      // Cut off, by us or by the server.
    }
  }

  private add(block: string): void {
    const event: ServerEvent = {};
    for (const line of block.split('\n')) {
      const [, field, value] = /^([a-z]*):? ?(.*)$/.exec(line) ?? [];
      if (field === 'id' || field === 'event') event[field] = value;
      else if (field === 'data') event.data = event.data === undefined ? value : `${event.data}\n${value}`;
      else if (field === '' && value !== '') event.comment = value;
    }
    if (Object.keys(event).length > 0) this.events.push(event);
  }
}
