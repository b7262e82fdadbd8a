import { parseArgs } from 'node:util';
import { describe, expect, test } from '@jest/globals';
import { usageProblem } from './usage-problem.ts';

const options = { out: { type: 'string' }, keep: { type: 'boolean' } } as const;

function thrownBy(...args: string[]): unknown {
  try {
    parseArgs({ args, options, allowPositionals: true });
  } catch (error) {
    return error;
  }
  throw new Error('it was taken');
}

describe('the problem with a command line', () => {
  test.each([
    ['an unknown option', ['--nonsense'], "Unknown option '--nonsense'"],
    ['a missing value', ['--out'], "Option '--out <value>' argument missing"],
    ['an option instead of a value', ['--out', '--keep'], "Option '--out' argument is ambiguous"],
  ])('%s is said without advice', (_, args, problem) => {
    expect(usageProblem(thrownBy(...args))).toBe(problem);
  });

  test('other errors are none', () => {
    expect(usageProblem(new TypeError('x is undefined'))).toBeUndefined();
    expect(usageProblem(Object.assign(new Error('no'), { code: 'ENOENT' }))).toBeUndefined();
    expect(usageProblem('no')).toBeUndefined();
  });
});
