import { expect, test } from '@jest/globals';
import { fieldOf } from './external.ts';

test.each(['a\r\nb: c', 'a\0', 'Eve\u0001', '\u007f', '\u0100'])('no field has the value %j', (value) => {
  expect(fieldOf('x-name', value)).toBeUndefined();
});

test('a field has what HTTP takes', () => {
  expect(fieldOf('X-Name', 'a\tb \u00e4')).toEqual(['x-name', 'a\tb \u00e4']);
});
