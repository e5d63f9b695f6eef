import fc from 'fast-check';
import { splitLines, type Line, type TextPieces } from '../src/store/split-lines.js';

async function linesOf(pieces: TextPieces): Promise<Line[]> {
  const lines: Line[] = [];
  for await (const line of splitLines(pieces)) lines.push(line);
  return lines;
}

const object = fc.dictionary(
  fc.string(),
  fc.oneof(fc.string({ unit: 'binary' }), fc.integer(), fc.constant({})),
);

describe('splitLines', () => {
  it('finds the same lines, however the text is cut', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(object, { maxLength: 6 }),
        fc.infiniteStream(fc.integer({ min: 1, max: 30 })),
        fc.constantFrom('\n', '\r\n'),
        fc.boolean(),
        fc.boolean(),
        async (objects, sizes, lineBreak, ended, binary) => {
          const text = objects.map((item) => JSON.stringify(item)).join(lineBreak) + (ended ? lineBreak : '');
          const whole = binary ? Buffer.from(text) : text;
          const pieces: (string | Uint8Array)[] = [];
          for (let i = 0; i < whole.length;) {
            const size = sizes.next().value;
            pieces.push(whole.slice(i, i + size));
            i += size;
          }
          const lines = (await linesOf(pieces)).filter((line) => line.text.trim() !== '');
          expect(lines.map((line) => JSON.parse(line.text) as unknown)).toEqual(objects);
          expect(lines.map(({ number }) => number)).toEqual(objects.map((_, i) => i + 1));
        },
      ),
    );
  });

  it('numbers bad lines as they stand', async () => {
    expect(await linesOf(['{"a":1}', 'bad', '{"b":2}'])).toEqual([
      { text: '{"a":1}', number: 1 },
      { text: 'bad', number: 2 },
      { text: '{"b":2}', number: 3 },
    ]);
    expect(await linesOf('{"a":1}\n\nbad\n{"b":2}\n')).toEqual([
      { text: '{"a":1}', number: 1 },
      { text: '', number: 2 },
      { text: 'bad', number: 3 },
      { text: '{"b":2}', number: 4 },
    ]);
    expect(await linesOf(['{"a":', '1}\n{"b"'])).toEqual([
      { text: '{"a":1}', number: 1 },
      { text: '{"b"', number: 2 },
    ]);
  });

  it('refuses bytes that are not UTF-8', async () => {
    const bytes = Buffer.from([0x7b, 0x7d, 0x0a, 0xff, 0xfe]);
    await expect(linesOf([bytes])).rejects.toMatchObject({ code: 'INVALID_ARGUMENT', path: 'line 1' });
    await expect(linesOf([Buffer.from([0xe2, 0x82])])).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });
});
