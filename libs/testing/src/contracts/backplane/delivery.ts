/// <reference types="jest" />
import { eventually } from '../../eventually.js';
import { KEEP, text, type BackplaneContractPart } from './subject.js';

const ODD_NAMES = ['a:b', 'a', '*', 'a.*', '{}', '{a}', '🙂', '🙃', ' ', 'é', "'", '"', '\\', '%', '\n'];

/** Messages that are not kept, between instances. */
export const delivery: BackplaneContractPart = (suite) => {
  describe('delivery', () => {
    it('reaches the other instances that joined the topic, with all that belongs to a message', async () => {
      const [a, b, c] = [await suite.instance(), await suite.instance(), await suite.instance()];
      const [topic, other] = [suite.topic(), suite.topic()];
      await Promise.all([a, b].map(async ({ backplane }) => backplane.join(topic)));
      await c.backplane.join(other);
      const payload = Buffer.from([0, 255, 1, 254]);
      const message = { topic, payload, binary: true, except: ['x', 'é "'] };
      expect(await a.backplane.publish(message)).toBeUndefined();
      await a.backplane.publish(text(topic, ''));
      await a.backplane.publish(text(other, 'end'));
      await eventually(() => b.messages.length === 2 && c.messages.length === 1);
      expect(b.messages).toEqual([
        { ...message, origin: a.nodeId },
        { ...text(topic, ''), origin: a.nodeId },
      ]);
      expect(c.texts(other)).toEqual(['end']);
      expect(a.messages).toEqual([]);
    });

    it('takes the bytes as they are when it is called', async () => {
      const [a, b] = [await suite.instance(), await suite.instance()];
      const topic = suite.topic();
      await b.backplane.join(topic);
      const message = text(topic, 'before');
      const sent = a.backplane.publish(message);
      message.payload.fill(0);
      await sent;
      await eventually(() => expect(b.texts(topic)).toEqual(['before']));
    });

    it('counts joins, and ends with the last leave', async () => {
      const [a, b] = [await suite.instance(), await suite.instance()];
      const [topic, marker] = [suite.topic(), suite.topic('marker')];
      await Promise.all([b.backplane.join(topic), b.backplane.join(topic), b.backplane.join(marker)]);
      b.backplane.leave(topic);
      await a.backplane.publish(text(topic, 1));
      await eventually(() => expect(b.texts(topic)).toEqual(['1']));
      b.backplane.leave(topic);
      await a.backplane.publish(text(topic, 2));
      await a.backplane.publish(text(marker, 'end'));
      await eventually(() => expect(b.texts(marker)).toEqual(['end']));
      await b.backplane.join(topic);
      await a.backplane.publish(text(topic, 3));
      await eventually(() => expect(b.texts(topic)).toEqual(['1', '3']));
    });

    it('brings every topic, once, to who joined all', async () => {
      const [a, b] = [await suite.instance(), await suite.instance()];
      const topics = [suite.topic(), suite.topic(), suite.topic()];
      await Promise.all([b.backplane.join(topics[0]!), b.backplane.joinAll(), b.backplane.joinAll()]);
      b.backplane.leaveAll();
      for (const topic of topics) await a.backplane.publish(text(topic, 1));
      await eventually(() => expect(topics.flatMap((topic) => b.texts(topic))).toEqual(['1', '1', '1']));
      b.backplane.leaveAll();
      await a.backplane.publish(text(topics[1]!, 2));
      await a.backplane.publish(text(topics[0]!, 2));
      await eventually(() => expect(b.texts(topics[0]!)).toEqual(['1', '2']));
      expect(b.texts(topics[1]!)).toEqual(['1']);
    });

    it('misses nothing that is published after join has resolved', async () => {
      const [a, b] = [await suite.instance(), await suite.instance()];
      const busy = suite.topic('busy');
      await b.backplane.join(busy);
      for (let i = 0; i < 40; i++) {
        const topic = suite.topic();
        const noise = Array.from({ length: 5 }, () => a.backplane.publish(text(busy, i)));
        await b.backplane.join(topic);
        await a.backplane.publish(text(topic, i));
        await Promise.all(noise);
        await eventually(() => expect(b.texts(topic)).toEqual([String(i)]));
      }
    });

    it('keeps the order of a publisher in a topic, also of messages that are not awaited', async () => {
      const all = [await suite.instance(), await suite.instance(), await suite.instance()];
      const topics = Array.from({ length: 5 }, () => suite.topic());
      const [a, b, c] = all as [(typeof all)[0], (typeof all)[0], (typeof all)[0]];
      await Promise.all(topics.map(async (topic) => c.backplane.join(topic)));
      await Promise.all(
        Array.from({ length: 200 }, (_, n) => n).flatMap((n) =>
          topics.flatMap((topic, i) =>
            [a, b].map(({ backplane, nodeId }) =>
              backplane.publish(text(topic, `${nodeId}:${n}`), i % 2 === 0 ? KEEP : undefined),
            ),
          ),
        ),
      );
      await eventually(() => expect(c.messages).toHaveLength(2 * 200 * 5));
      for (const topic of topics) {
        for (const { nodeId } of [a, b]) {
          const of = c.texts(topic).filter((payload) => payload.startsWith(`${nodeId}:`));
          expect(of).toEqual(Array.from({ length: 200 }, (_, n) => `${nodeId}:${n}`));
        }
      }
    });

    it('tells topics with odd names apart', async () => {
      const [a, b] = [await suite.instance(), await suite.instance()];
      const prefix = suite.topic('');
      const topics = ODD_NAMES.map((name) => name + prefix);
      await Promise.all(topics.map(async (topic) => b.backplane.join(topic)));
      await Promise.all(topics.map((topic) => a.backplane.publish(text(topic, topic), KEEP)));
      await eventually(() => expect(b.messages).toHaveLength(topics.length));
      for (const topic of topics) {
        expect(b.texts(topic)).toEqual([topic]);
        expect((await b.backplane.history(topic))?.messages).toHaveLength(1);
      }
    });

    it('carries big payloads whole', async () => {
      const [a, b] = [await suite.instance(), await suite.instance()];
      const topic = suite.topic();
      await b.backplane.join(topic);
      const payloads = [300_000, 5_000_000, 1].map((length, i) => Buffer.alloc(length, `big ${i} `));
      for (const payload of payloads) {
        await a.backplane.publish({ topic, payload, binary: true, except: [] }, KEEP);
      }
      await eventually(() => expect(b.messages).toHaveLength(3));
      const page = await b.backplane.history(topic);
      payloads.forEach((payload, i) => {
        expect(b.messages[i]!.payload.equals(payload)).toBe(true);
        expect(page!.messages[i]!.payload.equals(payload)).toBe(true);
      });
    });

    it('is not harmed by a receiver that throws', async () => {
      const a = await suite.instance();
      const b = await suite.instance(() => {
        throw new Error('on purpose');
      });
      const c = await suite.instance();
      const topic = suite.topic();
      await Promise.all([b, c].map(async ({ backplane }) => backplane.join(topic)));
      for (const n of [1, 2, 3]) await a.backplane.publish(text(topic, n), KEEP);
      await eventually(() => {
        expect(b.texts(topic)).toEqual(['1', '2', '3']);
        expect(c.texts(topic)).toEqual(['1', '2', '3']);
      });
      expect([a, b, c].map(({ backplane }) => backplane.state.status)).toEqual(['up', 'up', 'up']);
    });
  });
};
