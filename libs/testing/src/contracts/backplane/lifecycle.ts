/// <reference types="jest" />
import { eventually } from '../../eventually.js';
import { KEEP, text, type BackplaneContractPart } from './subject.js';

const RECEIVER = { onMessage: () => undefined, onGap: () => undefined, onRecovered: () => undefined };

export const lifecycle: BackplaneContractPart = (suite) => {
  describe('lifecycle', () => {
    it('is idle before open and after close, and up in between', async () => {
      const backplane = await suite.unopened();
      expect(backplane.backend).toMatch(/^[a-z]+/);
      expect(backplane.state).toEqual({ status: 'idle', since: expect.any(Date) });
      await backplane.open('node', RECEIVER);
      await eventually(() => expect(backplane.state.status).toBe('up'));
      await backplane.close();
      expect(backplane.state.status).toBe('idle');
    });

    it('closes twice, and without having been opened', async () => {
      const [never, once] = [await suite.unopened(), await suite.unopened()];
      await Promise.all([never.close(), never.close()]);
      await once.open('node', RECEIVER);
      await Promise.all([once.close(), once.close()]);
      await once.close();
    });

    it('receives nothing after close, and refuses to publish', async () => {
      const [a, b] = [await suite.instance(), await suite.instance()];
      const topic = suite.topic();
      await b.backplane.join(topic);
      await b.backplane.close();
      await a.backplane.publish(text(topic, 1), KEEP);
      expect((await a.backplane.history(topic))?.messages).toHaveLength(1);
      expect(b.messages).toEqual([]);
      await expect(b.backplane.publish(text(topic, 2))).rejects.toThrow();
      b.backplane.leave(topic);
    });

    it('knows topics that were joined before open', async () => {
      const a = await suite.instance();
      const backplane = await suite.unopened();
      const topic = suite.topic();
      const joined = backplane.join(topic);
      const heard: string[] = [];
      await backplane.open('early', {
        ...RECEIVER,
        onMessage: ({ payload }) => heard.push(payload.toString()),
      });
      await joined;
      await a.backplane.publish(text(topic, 'hello'));
      await eventually(() => expect(heard).toEqual(['hello']));
    });
  });
};
