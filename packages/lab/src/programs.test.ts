import { expect, test } from '@jest/globals';
import { programOf } from './programs.ts';

const programs = { 'ambit/waypoint': ['a'], 'hub:5000/x': ['b'] };

test.each([
  ['ambit/waypoint:0.1.0', ['a']],
  ['ambit/waypoint', ['a']],
  ['ambit/waypoint@sha256:00', ['a']],
  ['ambit/waypoint:1@sha256:00', ['a']],
  ['hub:5000/x:1', ['b']],
  ['hub:5000/x', ['b']],
  ['other/waypoint:0.1.0', undefined],
  ['constructor', undefined],
  ['', undefined],
])('%s', (image, want) => expect(programOf(programs, image)).toEqual(want));
