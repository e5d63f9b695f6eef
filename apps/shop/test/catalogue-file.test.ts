import { readFileSync } from 'node:fs';
import { CatalogueFileError, parseCatalogue } from '../src/catalogue/catalogue-file.js';

function faultsOf(text: string): string[] {
  try {
    parseCatalogue('file', text);
  } catch (error) {
    if (error instanceof CatalogueFileError) return error.message.split('\n');
    throw error;
  }
  return [];
}

describe('A catalogue file', () => {
  it('has a product per line', () => {
    const text = '\uFEFF{"id":"a","name":"A","price":1}\r\n\n  \n{"id":"b","name":"B","price":2,"stock":3}';
    expect([...parseCatalogue('file', text)]).toEqual([
      ['a', { name: 'A', price: 1, stock: 0 }],
      ['b', { name: 'B', price: 2, stock: 3 }],
    ]);
  });

  it('is refused with the line and the path of every fault', () => {
    const text = [
      '{"id":"a","name":"A","price":1}',
      '{"id":"b","name":"","price":-1}',
      '{"id":"c","name":"C",',
      '',
      '[]',
      '{"id":"a","name":"A","price":1}',
      '{"id":"d","name":"D","price":1,"tags":["x",7],"prize":2}',
    ].join('\n');
    expect(faultsOf(text)).toEqual([
      'file:2: name must not be empty.',
      'file:2: price must be a whole number from 0 to 100000000.',
      'file:3: must be a JSON object.',
      'file:5: must be a JSON object.',
      'file:6: id is the same as in line 1.',
      'file:7: tags[1] must be a text.',
      'file:7: prize is not known here; leave it out.',
    ]);
  });

  it('in the repository has some hundred products', () => {
    const file = new URL('../data/catalogue.jsonl', import.meta.url);
    const products = parseCatalogue('catalogue.jsonl', readFileSync(file, 'utf8'));
    expect(products.size).toBeGreaterThanOrEqual(300);
    expect(new Set([...products.values()].map(({ name }) => name)).size).toBe(products.size);
  });
});
