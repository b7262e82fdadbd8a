import { expect, test } from '@jest/globals';
import { COMMANDS } from './command-line.ts';
import { closest } from './did-you-mean.ts';

const known = Object.keys(COMMANDS);

test.each([
  ['stat', 'status'],
  ['statsu', 'status'],
  ['enrol', 'enroll'],
  ['enrole', 'enroll'],
  ['un-enroll', 'unenroll'],
  ['instal', 'install'],
  ['polices', 'policies'],
  ['wy', undefined],
  ['whu', undefined],
  ['wyh', 'why'],
  ['w', undefined],
  ['', undefined],
  ['get', undefined],
  ['delete', undefined],
])('%j probably means %j', (given, want) => expect(closest(given, known)).toBe(want));
