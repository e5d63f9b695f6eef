import { RowLayer, RowTable } from '@nestbox/core';
import fc from 'fast-check';

const A = new RowTable<number>('a');
const B = new RowTable<string, number>('b');

function contents<Row, Key extends string | number>(
  layer: RowLayer,
  table: RowTable<Row, Key>,
): [Key, Row][] {
  return [...layer.entries(table)].toSorted(([one], [other]) => (one < other ? -1 : 1));
}

describe('RowLayer', () => {
  it('reads through, and undoes what was done in a layer that is forgotten', () => {
    const base = new RowLayer();
    base.set(A, 'kept', 1);
    base.set(A, 'deleted', 2);
    base.set(B, 7, 'seven');
    const layer = new RowLayer(base);
    layer.set(A, 'new', 3);
    layer.delete(A, 'deleted');
    expect(contents(layer, A)).toEqual([
      ['kept', 1],
      ['new', 3],
    ]);
    expect(layer.get(A, 'deleted')).toBeUndefined();
    expect(layer.get(B, 7)).toBe('seven');
    expect(contents(base, A)).toEqual([
      ['deleted', 2],
      ['kept', 1],
    ]);
  });

  it('tells what was written in it, and whether two have written the same row', () => {
    const base = new RowLayer();
    base.set(A, 'x', 1);
    const [one, two] = [new RowLayer(base), new RowLayer(base)];
    one.set(A, 'y', 2);
    two.set(B, 1, 'one');
    expect(one.holds(A, 'x')).toBe(false);
    expect(one.holds(A, 'y')).toBe(true);
    expect(one.meets(two)).toBe(false);
    two.delete(A, 'y');
    expect(one.meets(two)).toBe(true);
  });

  it('is like a map of which each layer has a copy', () => {
    const key = fc.constantFrom('a', 'b', 'c', 'd');
    const step = fc.oneof(
      fc.record({ kind: fc.constant('set' as const), key, value: fc.integer() }),
      fc.record({ kind: fc.constant('delete' as const), key }),
      fc.record({ kind: fc.constant('delete where' as const), limit: fc.integer() }),
      fc.record({ kind: fc.constantFrom('push' as const, 'merge' as const, 'forget' as const) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const layers = [{ layer: new RowLayer(), model: new Map<string, number>() }];
        for (const one of steps) {
          const { layer, model } = layers.at(-1)!;
          switch (one.kind) {
            case 'set':
              layer.set(A, one.key, one.value);
              model.set(one.key, one.value);
              break;
            case 'delete':
              layer.delete(A, one.key);
              model.delete(one.key);
              break;
            case 'delete where':
              layer.deleteWhere(A, (value) => value < one.limit);
              for (const [name, value] of model) if (value < one.limit) model.delete(name);
              break;
            case 'push':
              layers.push({ layer: new RowLayer(layer), model: new Map(model) });
              break;
            case 'merge':
            case 'forget':
              if (layers.length === 1) break;
              layers.pop();
              if (one.kind === 'merge') {
                layer.merge();
                layers.at(-1)!.model = model;
              }
          }
          const top = layers.at(-1)!;
          expect(new Map(top.layer.entries(A))).toEqual(top.model);
          for (const [name, value] of top.model) expect(top.layer.get(A, name)).toBe(value);
        }
      }),
    );
  });
});
