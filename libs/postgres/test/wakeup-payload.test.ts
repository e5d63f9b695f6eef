import fc from 'fast-check';
import { InvalidArgumentError } from '@nestbox/core';
import { assertTopic, packTopics, unpackTopics } from '../src/wakeup-payload.js';

describe('packTopics', () => {
  it('packs any topics into as few payloads as hold them, and unpacks the same', () => {
    const topic = fc.string({ unit: 'binary', minLength: 1, maxLength: 340 });
    fc.assert(
      fc.property(fc.array(topic, { maxLength: 200 }), (topics) => {
        const { payloads, tooLong } = packTopics('me', topics);
        expect(tooLong).toEqual([]);
        expect(payloads.flatMap((payload) => unpackTopics(payload)!.topics)).toEqual(topics);
        for (const payload of payloads) {
          expect(Buffer.byteLength(payload)).toBeLessThanOrEqual(7_900);
          expect(unpackTopics(payload)!.sender).toBe('me');
        }
        // No two neighbours would have fitted into one.
        for (let i = 1; i < payloads.length; i++) {
          expect(Buffer.byteLength(payloads[i - 1]! + payloads[i]!)).toBeGreaterThan(7_900);
        }
      }),
    );
  });

  it('takes every topic that passes the check, and leaves out what NOTIFY cannot carry', () => {
    const worst = '\u0001'.repeat(1_024);
    assertTopic(worst);
    expect(packTopics('sender', [worst]).tooLong).toEqual([]);
    const long = 'x'.repeat(8_000);
    expect(packTopics('sender', ['a', long, 'b'])).toEqual({
      payloads: ['["sender","a","b"]'],
      tooLong: [long],
    });
    expect(() => assertTopic('é'.repeat(513))).toThrow(InvalidArgumentError);
    expect(() => assertTopic('')).toThrow(InvalidArgumentError);
  });
});

describe('unpackTopics', () => {
  it.each(['', 'hello', '{}', '[]', '[1]', '["me",2]', 'null'])(
    'does not take %j for one of ours',
    (payload) => {
      expect(unpackTopics(payload)).toBeUndefined();
    },
  );
});
