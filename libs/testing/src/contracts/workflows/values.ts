/// <reference types="jest" />
import { define, failureOf, gate, type Scene, type WorkflowSuite } from './subject.js';

class Money {
  constructor(readonly cents: number) {}
}

const cause = Object.assign(new RangeError('deep\0er'), { code: 'DEEP' });
const VALUES: [string, unknown][] = [
  ['undefined', undefined],
  ['null', null],
  ['0', 0],
  ['-0', -0],
  ['false', false],
  ["''", ''],
  ['NaN', Number.NaN],
  ['Infinity', Infinity],
  ['a bigint', 2n ** 70n],
  ['a Date', new Date(1_234_567_890_123)],
  ['a Map', new Map<unknown, unknown>([[{ a: 1 }, new Set([1n])]])],
  ['a text with NUL', 'a\0b'],
  ['a property name with NUL', { 'a\0b': 1 }],
  ['a lone surrogate', '\ud800'],
  ['an object with $type', { $type: 'Date', value: 'no' }],
  ['undefined inside', { a: undefined, b: [undefined, null] }],
  ['a Buffer', Buffer.from([0, 255])],
];

/** Where a value can be recorded. */
const PLACES = ['input', 'output', 'step', 'transaction', 'signal', 'value', 'child', 'map'] as const;

/** Sends a value through every place, with a crash in between. @returns what came out */
async function through(scene: Scene, value: unknown): Promise<Record<string, unknown>> {
  const hold = gate();
  const child = define(async (_, input) => input);
  const flow = define(async (context, input) => {
    const step = await context.step('step', () => value);
    const transaction = await context.transaction('transaction', () => value);
    const signal = await context.waitForSignal('signal');
    const [map] = await context.map('map', [1], String, (own) => own.step('step', () => value));
    context.setValue('value', value);
    const ofChild = await context.child(child.type, value);
    await context.step('hold', () => hold.promise);
    return { input, step, transaction, signal, map, child: ofChild, output: value };
  });
  const first = await scene.worker([flow, child]);
  const handle = await first.start(flow.type, value);
  await handle.signal('signal', value);
  await reaches(() => handle.values(), 'value');
  await reaches(
    async () => Object.fromEntries((await handle.steps()).map(({ name, status }) => [name + status, 1])),
    `${child.name}done`,
  );
  await scene.crash(first);
  hold.open();
  const second = await scene.worker([flow, child]);
  const again = second.get<Record<string, unknown>>(handle.id);
  const output = await again.result({ timeout: '10s' });
  const stored = (await again.info()).output;
  expect(stored).toEqual(output);
  return { ...output, value: (await again.values())['value'] };
}

async function reaches(look: () => Promise<object>, key: string): Promise<void> {
  while (!Object.hasOwn(await look(), key)) await new Promise((resolve) => setTimeout(resolve, 2));
}

export function values(suite: WorkflowSuite): void {
  describe('values', () => {
    it.each(VALUES)('keep %s as it is, wherever it is recorded', async (_, value) => {
      const scene = await suite.scene();
      const out = await through(scene, value);
      for (const place of PLACES) {
        expect(Object.hasOwn(out, place)).toBe(true);
        expect(out[place]).toStrictEqual(value);
      }
    });

    it('may be of 5 MB', async () => {
      const scene = await suite.scene();
      const flow = define(async (context) => {
        const text = await context.step('big', () => 'x\u00e9'.repeat(1_750_000));
        return context.step('length', () => text.length);
      });
      const service = await scene.worker([flow]);
      const handle = await service.start(flow.type, {});
      expect(await handle.result({ timeout: '20s' })).toBe(3_500_000);
      expect(((await handle.steps())[0]!.result as string).length).toBe(3_500_000);
    });

    it('over the limit fail the step, with what and how much', async () => {
      const scene = await suite.scene();
      const flow = define(async (context) => context.step('big', () => 'x'.repeat(2_000)));
      const service = await scene.worker([flow], { maxPayloadBytes: 1_000 });
      const handle = await service.start(flow.type, {});
      expect(await failureOf(handle.result({ timeout: '10s' }))).toMatchObject({
        cause: { name: 'PayloadTooLargeError', code: 'PAYLOAD_TOO_LARGE', bytes: 2_002, limit: 1_000 },
      });
      for (const call of [
        () => service.start(flow.type, 'x'.repeat(2_000)),
        () => service.signal(handle.id, 'a', 'x'.repeat(2_000)),
      ]) {
        expect(await failureOf(call())).toMatchObject({ code: 'PAYLOAD_TOO_LARGE', bytes: 2_002 });
      }
    });

    it('over the limit fail the run that returns them', async () => {
      const scene = await suite.scene();
      const flow = define(async () => 'x'.repeat(2_000));
      const service = await scene.worker([flow], { maxPayloadBytes: 1_000 });
      const handle = await service.start(flow.type, {});
      expect(await failureOf(handle.result({ timeout: '10s' }))).toMatchObject({
        cause: { code: 'PAYLOAD_TOO_LARGE' },
      });
      expect(await handle.status()).toBe('failed');
    });

    it.each<[string, unknown, string]>([
      ['an instance of a class', { price: [new Money(1)] }, '.price[0]'],
      ['a function', { later: { call: () => 1 } }, '.later.call'],
      ['a symbol', [Symbol('a')], '[0]'],
      ['a Promise', { late: Promise.resolve(1) }, '.late'],
    ])('that cannot be recorded, as %s, are refused with their path', async (_, value, path) => {
      const scene = await suite.scene();
      const flow = define(async (context, input) => {
        if (input === 'step') return context.step('a', () => value);
        if (input === 'transaction') return context.transaction('a', () => value);
        if (input === 'value') context.setValue('key', value);
        return value;
      });
      const service = await scene.worker([flow]);
      for (const [place, at] of [
        ['step', 'result'],
        ['transaction', 'result'],
        ['value', 'value'],
        ['output', 'output'],
      ]) {
        const handle = await service.start(flow.type, place);
        expect(await failureOf(handle.result({ timeout: '10s' }))).toMatchObject({
          code: 'RUN_FAILED',
          cause: { code: 'INVALID_ARGUMENT', path: `${at}${path}` },
        });
      }
      expect(await failureOf(service.start(flow.type, value))).toMatchObject({ path: `input${path}` });
      expect(await failureOf(service.signal('any', 'a', value))).toMatchObject({ path: `payload${path}` });
    });
  });

  describe('errors', () => {
    it('are the same in a replay as when they came: name, message, code, cause and properties', async () => {
      const scene = await suite.scene();
      const seen: unknown[] = [];
      const hold = gate();
      const flow = define(async (context) => {
        const problem = await context
          .step('fails', () =>
            Promise.reject(Object.assign(new TypeError('a\0b', { cause }), { code: 42, orders: [1n] })),
          )
          .catch((error: unknown) => error);
        const { name, message, code, orders, cause: inner } = problem as Record<string, unknown>;
        const { name: innerName, message: innerMessage, code: innerCode } = inner as Record<string, unknown>;
        seen.push({ name, message, code, orders, inner: [innerName, innerMessage, innerCode] });
        await context.step('hold', () => hold.promise);
        throw problem;
      });
      const first = await scene.worker([flow]);
      const { id } = await first.start(flow.type, {});
      await reaches(
        async () => Object.fromEntries((await first.get(id).steps()).map(({ name }) => [name, 1])),
        'fails',
      );
      await scene.crash(first);
      hold.open();
      const second = await scene.worker([flow]);
      const failure = await failureOf(second.get(id).result({ timeout: '10s' }));
      const expected = {
        name: 'TypeError',
        message: 'a\0b',
        code: 42,
        orders: [1n],
        inner: ['RangeError', 'deep\0er', 'DEEP'],
      };
      expect(seen).toEqual([expected, expected]);
      expect(failure).toMatchObject({
        code: 'RUN_FAILED',
        runId: id,
        cause: { name: 'TypeError', message: 'a\0b', code: 42, cause: { name: 'RangeError', code: 'DEEP' } },
      });
      expect((await second.get(id).info()).error).toMatchObject({ name: 'TypeError', message: 'a\0b' });
    });

    it.each<[string, unknown]>([
      ['undefined', undefined],
      ['a text', 'no'],
      ['an object', { reason: 'no' }],
      ['null', null],
    ])('may be %s', async (_, thrown) => {
      const scene = await suite.scene();
      const flow = define(async (context) => {
        const caught = await context
          .step('fails', () => {
            // oxlint-disable-next-line typescript/only-throw-error -- Code of others may throw anything.
            throw thrown;
          })
          .catch((error: unknown) => [error]);
        await context.step('next', () => 1);
        expect(caught).toEqual([thrown]);
        throw thrown;
      });
      const service = await scene.worker([flow]);
      const handle = await service.start(flow.type, {});
      const failure = await failureOf(handle.result({ timeout: '10s' }));
      expect(failure).toMatchObject({ code: 'RUN_FAILED' });
      expect((failure as Error).cause).toEqual(thrown);
    });

    it('name the workflow', async () => {
      const scene = await suite.scene();
      const flow = define(() => Promise.reject(new Error('no')));
      const service = await scene.worker([flow]);
      const handle = await service.start(flow.type, {});
      const failure = await failureOf(handle.result({ timeout: '10s' }));
      expect(failure).toMatchObject({ workflow: flow.name, message: expect.stringContaining(flow.name) });
    });
  });
}
