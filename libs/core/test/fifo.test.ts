import fc from 'fast-check';
import { Fifo } from '../src/fifo.js';

describe('a queue', () => {
  it('does what an array does', () => {
    const steps = fc.array(fc.oneof(fc.integer({ min: 1, max: 200 }), fc.integer({ min: -200, max: -1 })));
    fc.assert(
      fc.property(steps, (counts) => {
        const queue = new Fifo<number>();
        const model: number[] = [];
        let next = 0;
        for (const count of counts) {
          for (let i = 0; i < Math.abs(count); i++) {
            if (count > 0) {
              queue.push(next);
              model.push(next++);
            } else {
              expect(queue.peek()).toBe(model[0]);
              expect(queue.shift()).toBe(model.shift());
            }
          }
          expect(queue.length).toBe(model.length);
        }
      }),
    );
  });
});
