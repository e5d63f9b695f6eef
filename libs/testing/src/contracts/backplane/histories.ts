/// <reference types="jest" />
import { eventually } from '../../eventually.js';
import { KEEP, text, type BackplaneContractPart } from './subject.js';

/** What is kept of a topic. */
export const histories: BackplaneContractPart = (suite) => {
  describe('histories', () => {
    async function published(topic: string, count: number, size = KEEP.size) {
      const a = await suite.instance();
      const positions = [];
      for (let n = 1; n <= count; n++) {
        positions.push((await a.backplane.publish(text(topic, n), { ...KEEP, size }))!);
      }
      const read = async (options?: Parameters<typeof a.backplane.history>[1]) => {
        const page = (await a.backplane.history(topic, options))!;
        return { ...page, messages: page.messages.map(({ payload }) => Number(payload.toString())) };
      };
      return { a, positions, read, head: positions.at(-1)! };
    }

    it('are not there before the first message, nor for messages that are not kept', async () => {
      const a = await suite.instance();
      const topic = suite.topic();
      expect(await a.backplane.head(topic)).toBeUndefined();
      await a.backplane.publish(text(topic, 1));
      expect(await a.backplane.head(topic)).toBeUndefined();
      expect(await a.backplane.history(topic)).toBeUndefined();
    });

    it('give positions that grow in one epoch, and bring one’s own messages back', async () => {
      const topic = suite.topic();
      const [a, b] = [await suite.instance(), await suite.instance()];
      await Promise.all([a, b].map(async ({ backplane }) => backplane.join(topic)));
      const first = (await a.backplane.publish(text(topic, 1, ['x']), KEEP))!;
      const second = (await b.backplane.publish(text(topic, 2), KEEP))!;
      expect(first.offset).toBeGreaterThan(0);
      expect(second.offset).toBeGreaterThan(first.offset);
      expect(second.epoch).toBe(first.epoch);
      const messages = [
        { ...text(topic, 1, ['x']), origin: a.nodeId, position: first },
        { ...text(topic, 2), origin: b.nodeId, position: second },
      ];
      await eventually(() => {
        expect(a.messages).toEqual(messages);
        expect(b.messages).toEqual(messages);
      });
      expect(await b.backplane.head(topic)).toEqual(second);
      expect(await a.backplane.history(topic)).toEqual({ messages, complete: true, head: second });
    });

    it('are read from a position on, and up to a limit', async () => {
      const { read, positions, head } = await published(suite.topic(), 6);
      expect(await read({ since: positions[1] })).toEqual({ messages: [3, 4, 5, 6], complete: true, head });
      expect(await read({ since: positions[1], limit: 2 })).toEqual({
        messages: [3, 4],
        complete: true,
        head,
      });
      expect(await read({ limit: 2 })).toEqual({ messages: [5, 6], complete: true, head });
      expect(await read({ since: head })).toEqual({ messages: [], complete: true, head });
      const start = { epoch: head.epoch, offset: 0 };
      expect(await read({ since: start })).toMatchObject({ messages: [1, 2, 3, 4, 5, 6], complete: true });
    });

    it('keep no more than their size, and say what is missing then', async () => {
      const { read, positions, head } = await published(suite.topic(), 8, 3);
      expect((await read()).messages).toEqual([6, 7, 8]);
      expect(await read({ since: positions[4] })).toEqual({ messages: [6, 7, 8], complete: true, head });
      expect(await read({ since: positions[3] })).toEqual({ messages: [6, 7, 8], complete: false, head });
      expect((await read({ since: { epoch: head.epoch, offset: 0 } })).complete).toBe(false);
    });

    it('are incomplete for a position of another epoch, or one that is still to come', async () => {
      const { read, head } = await published(suite.topic(), 3);
      const foreign = { epoch: 'another', offset: head.offset };
      expect(await read({ since: foreign })).toEqual({ messages: [1, 2, 3], complete: false, head });
      const future = { epoch: head.epoch, offset: head.offset + 1_000_000 };
      expect((await read({ since: future })).complete).toBe(false);
    });

    it('give nothing that is older than the time to live, and begin anew after it', async () => {
      const a = await suite.instance();
      const topic = suite.topic();
      const retention = { size: 10, ttlMs: 300 };
      const first = (await a.backplane.publish(text(topic, 1), retention))!;
      expect((await a.backplane.history(topic))?.messages).toHaveLength(1);
      await eventually(async () => expect((await a.backplane.history(topic))?.messages ?? []).toEqual([]));
      const before = { epoch: first.epoch, offset: 0 };
      expect((await a.backplane.history(topic, { since: before }))?.complete ?? false).toBe(false);
      const second = (await a.backplane.publish(text(topic, 2), KEEP))!;
      if (second.epoch === first.epoch) expect(second.offset).toBeGreaterThan(first.offset);
      const page = (await a.backplane.history(topic, { since: before }))!;
      expect(page.complete).toBe(false);
      expect(page.messages.map(({ payload }) => payload.toString())).toEqual(['2']);
    });
  });
};
