import fc from 'fast-check';
import { setImmediate as turn } from 'node:timers/promises';
import type { HistoryPage, Position } from '../src/backplane/backplane.js';
import { TopicSequencer, type PositionedMessage } from '../src/backplane/redis/topic-sequencer.js';

/** A topic's history, and what became of its messages on the way to one sequencer. */
class Topic {
  epoch = 1;
  kept: PositionedMessage[] = [];
  offset = 0;
  exists = false;
  /** Everything that was ever published, as `epoch:offset`, and whether it can still be read. */
  readonly published: string[] = [];
  failures = 0;
  pageSize = 3;

  publish(size: number): PositionedMessage {
    this.exists = true;
    const position = { epoch: `e${this.epoch}`, offset: ++this.offset };
    const message = {
      topic: 't',
      payload: Buffer.from(keyOf(position)),
      binary: false,
      except: [],
      origin: 'o',
      position,
    };
    this.kept.push(message);
    this.kept.splice(0, Math.max(0, this.kept.length - size));
    this.published.push(keyOf(position));
    return message;
  }

  expire(): void {
    if (!this.exists) return;
    this.exists = false;
    this.epoch++;
    this.offset = 0;
    this.kept = [];
  }

  get head(): Position | undefined {
    return this.exists ? { epoch: `e${this.epoch}`, offset: this.offset } : undefined;
  }

  read(since: Position): HistoryPage | undefined {
    const { head } = this;
    if (head === undefined) return undefined;
    const from = since.epoch === head.epoch && since.offset <= head.offset ? since.offset : 0;
    const messages = this.kept.filter(({ position }) => position.offset > from).slice(0, this.pageSize);
    return { head, messages, complete: true };
  }
}

function keyOf({ epoch, offset }: Position): string {
  return `${epoch}:${offset}`;
}

type Step =
  | { kind: 'publish'; size: number; fate: 'arrives' | 'twice' | 'late' | 'lost' }
  | { kind: 'expire' | 'turn' | 'fail' | 'back' };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('publish' as const),
      size: fc.constantFrom(1, 3, 50),
      fate: fc.constantFrom(
        'arrives' as const,
        'arrives' as const,
        'twice' as const,
        'late' as const,
        'lost' as const,
      ),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constantFrom('turn' as const, 'fail' as const, 'back' as const) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('expire' as const) }) },
);

describe('the sequencer of a topic', () => {
  it('delivers each message once and in order, and tells what it could not', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), fc.nat(3), async (steps, before) => {
        const topic = new Topic();
        for (let i = 0; i < before; i++) topic.publish(50);
        const seen: string[] = [];
        const sequencer = new TopicSequencer({
          deliver: (message) => seen.push(String(message.payload)),
          gap: () => seen.push('gap'),
          read: async (since) => {
            await turn();
            if (topic.failures > 0) {
              topic.failures--;
              throw new Error('no link');
            }
            const page = topic.read(since);
            await turn();
            return page;
          },
          pause: async () => {
            await turn();
          },
        });
        sequencer.start(topic.head);
        const base = topic.published.length;
        const late: PositionedMessage[] = [];
        for (const one of steps) {
          if (one.kind === 'publish') {
            const message = topic.publish(one.size);
            if (one.fate === 'late') late.unshift(message);
            else if (one.fate === 'lost') sequencer.interrupt();
            else sequencer.offer(message);
            if (one.fate === 'twice') sequencer.offer(message);
          } else if (one.kind === 'expire') topic.expire();
          else if (one.kind === 'fail') topic.failures++;
          else if (one.kind === 'turn') await turn();
          else {
            for (const message of late.splice(0)) sequencer.offer(message);
            await sequencer.catchUp();
          }
        }
        for (const message of late) sequencer.offer(message);
        await sequencer.catchUp();
        // What an expired history had last is known to be lost when the next one begins.
        sequencer.offer(topic.publish(50));
        await sequencer.catchUp();

        const wanted = topic.published.slice(base);
        const delivered = seen.filter((one) => one !== 'gap');
        // In order, and none twice.
        expect(delivered).toEqual(wanted.filter((one) => delivered.includes(one)));
        expect(new Set(delivered).size).toBe(delivered.length);
        // The last is always there.
        expect(delivered.at(-1)).toBe(wanted.at(-1));
        sequencer.close();
      }),
      { numRuns: 1000 },
    );
  });

  it('tells of every hole within one epoch, where it is, and of none that is not there', async () => {
    const kinds = step.filter(({ kind }) => kind !== 'expire');
    await fc.assert(
      fc.asyncProperty(fc.array(kinds, { maxLength: 60 }), async (steps) => {
        const topic = new Topic();
        const seen: (number | 'gap')[] = [];
        const sequencer = new TopicSequencer({
          deliver: ({ position }) => seen.push(position!.offset),
          gap: () => seen.push('gap'),
          read: async (since) => {
            await turn();
            return topic.read(since);
          },
          pause: async () => {},
        });
        topic.publish(50);
        sequencer.start(topic.head);
        for (const one of steps) {
          if (one.kind === 'publish') {
            const message = topic.publish(one.size);
            if (one.fate !== 'lost' && one.fate !== 'late') sequencer.offer(message);
          } else if (one.kind === 'turn') await turn();
          else if (one.kind === 'back') await sequencer.catchUp();
        }
        await sequencer.catchUp();
        let last = 1;
        let isTold = false;
        for (const one of seen) {
          if (one === 'gap') {
            isTold = true;
            continue;
          }
          if (one !== last + 1) expect(isTold).toBe(true);
          last = one;
        }
        const isWhole = seen.filter((one) => one !== 'gap').length === topic.offset - 1;
        expect(isTold).toBe(!isWhole);
        sequencer.close();
      }),
      { numRuns: 500 },
    );
  });

  it('holds back a bounded number of messages, and reads the others', async () => {
    const topic = new Topic();
    topic.pageSize = 700;
    let open = (): void => {};
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    const seen: number[] = [];
    const sequencer = new TopicSequencer({
      deliver: ({ position }) => seen.push(position!.offset),
      gap: () => seen.push(-1),
      read: async (since) => {
        await gate;
        return topic.read(since);
      },
      pause: async () => {},
    });
    sequencer.start(undefined);
    for (let i = 0; i < 5000; i++) sequencer.offer(topic.publish(10_000));
    open();
    await sequencer.catchUp();
    expect(seen).toEqual(Array.from({ length: 5000 }, (_, i) => i + 1));
  });

  it('keeps messages without a position behind those that came before', async () => {
    const topic = new Topic();
    const seen: string[] = [];
    const sequencer = new TopicSequencer({
      deliver: (message) => seen.push(String(message.payload)),
      gap: () => seen.push('gap'),
      read: async (since) => {
        await turn();
        return topic.read(since);
      },
      pause: async () => {},
    });
    sequencer.start(undefined);
    const plain = { topic: 't', payload: Buffer.from('plain'), binary: false, except: [], origin: 'o' };
    sequencer.offer(topic.publish(50));
    sequencer.pass(plain);
    sequencer.offer(topic.publish(50));
    await sequencer.catchUp();
    sequencer.pass(plain);
    expect(seen).toEqual(['e1:1', 'plain', 'e1:2', 'plain']);
  });

  it('goes on after a history that has fallen behind what was delivered', async () => {
    const topic = new Topic();
    const seen: string[] = [];
    const sequencer = new TopicSequencer({
      deliver: (message) => seen.push(String(message.payload)),
      gap: (head) => seen.push(`gap at ${head.offset}`),
      read: async (since) => topic.read(since),
      pause: async () => {},
    });
    sequencer.start(undefined);
    for (let i = 0; i < 3; i++) sequencer.offer(topic.publish(50));
    await sequencer.catchUp();
    // A failover to a replica that did not have the last two.
    topic.offset = 1;
    topic.kept.splice(1);
    await sequencer.catchUp();
    sequencer.offer(topic.publish(50));
    await sequencer.catchUp();
    expect(seen).toEqual(['e1:1', 'e1:2', 'e1:3', 'gap at 1', 'e1:2']);
  });
});
